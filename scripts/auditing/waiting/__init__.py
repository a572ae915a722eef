"""Waiting rooms in Redis, and whether the topic of their turns says the same."""
