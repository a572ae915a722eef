"""What pods share through Redis: advice and limits, never the truth."""
