"""What was bought: purchases of buyers, and their tickets."""
