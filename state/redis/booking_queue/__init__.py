"""The booking queue in Redis: quick, shared by all pods and workers, and lost with its Redis."""
