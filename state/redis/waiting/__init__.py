"""The waiting room in Redis: quick, shared by all pods, and made anew where it is lost."""
