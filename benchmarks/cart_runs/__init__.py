"""Carts: how fast they are held, and how long one waits for its sections."""
