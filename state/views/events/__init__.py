"""Every event beside its seats."""
