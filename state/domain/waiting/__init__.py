"""The line before a sale: who waits, and who is let in."""
