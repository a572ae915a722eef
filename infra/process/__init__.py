"""What every process of the product stands on: settings from the environment, TLS, test faults."""
