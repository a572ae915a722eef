"""A partition's life at this worker: claimed, restored, set aside, given back."""
