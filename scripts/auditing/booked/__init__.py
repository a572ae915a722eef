"""The booking queue in Redis, and whether it adds up and the log knows what it says of seats."""
