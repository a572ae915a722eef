"""Streams of server-sent events, whatever they tell."""
