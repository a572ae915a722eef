"""Topics that are made anew, and the proof that nothing is missing in them."""
