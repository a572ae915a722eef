"""The booking queue, in Redis and in Kafka: whether it adds up, and the log knows of its seats."""
