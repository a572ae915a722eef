"""Seats of several sections held, given back and held longer as one."""
