"""Commands folded again beside the workers: what they led to then is what they lead to now."""
