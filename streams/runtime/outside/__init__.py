"""Effects outside Kafka: performs the intents in the stores, and reports their outcomes."""
