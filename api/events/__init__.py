"""Events and their seat maps."""
