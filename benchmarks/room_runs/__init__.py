"""Waiting rooms: a crowd that comes at once, and asks as it is told to."""
