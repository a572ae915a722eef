"""The sale that the demo plays."""
