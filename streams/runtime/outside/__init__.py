"""Effects outside Kafka: intents of the stores performed, and what became of them told."""
