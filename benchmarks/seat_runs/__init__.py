"""What workers are measured doing."""
