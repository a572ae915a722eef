"""A second model of seats, which decides as the handlers should and shares no code with them."""
