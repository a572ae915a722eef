"""What scripts ask brokers."""
