"""What was issued for paid seats, and whether it is just that."""
