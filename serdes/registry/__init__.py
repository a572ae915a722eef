"""Schema ids, and the registry that gives them."""
