"""What a section was at any time, and why: from the log alone."""
