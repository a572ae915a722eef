"""Where the workers' group stands in each topic, and how it is moved."""
