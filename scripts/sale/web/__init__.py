"""Buyers of the demo who use the HTTP API."""
