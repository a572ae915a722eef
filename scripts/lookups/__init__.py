"""What is free, as pods answer it: read from the topic, and asked of pods to be compared."""
