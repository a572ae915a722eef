"""Dead letters as operators see them: read, shown, and sent back each once."""
