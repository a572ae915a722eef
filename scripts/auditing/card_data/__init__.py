"""What no record may have: the number of a payment card."""
