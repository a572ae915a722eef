"""What pods are measured doing."""
