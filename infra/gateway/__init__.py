"""A payment gateway to play with: a process of its own, with its own ledger."""
