"""The booking queue in Kafka: one log, which every pod folds to the same lines."""
