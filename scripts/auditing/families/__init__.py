"""The invariants, one file a family: each is given the same facts and notes what cannot be."""
