"""How recent reservations stand, and who waits for an outcome."""
