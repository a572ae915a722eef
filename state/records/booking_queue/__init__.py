"""Items of the booking queue as bytes."""
