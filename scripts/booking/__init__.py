"""What operators do with the booking queue."""
