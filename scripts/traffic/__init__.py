"""Commands drawn from a seed, and sent."""
