"""Seats held, given back, held longer."""
