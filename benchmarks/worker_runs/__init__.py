"""What the benchmark of the workers after the money measures."""
