"""What pods share through Redis: hints and limits, never the truth."""
