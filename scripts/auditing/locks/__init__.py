"""Locks of seats in Redis, and whether somebody needs each of them."""
