"""Records of waiting rooms."""
