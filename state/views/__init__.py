"""Topics as a pod has them in memory, with their age."""
