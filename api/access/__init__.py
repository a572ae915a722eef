"""Who asks: addresses, tokens, and the keys they are verified with."""
