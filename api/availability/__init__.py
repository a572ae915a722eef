"""Look-ups of free seats, and streams of their changes."""
