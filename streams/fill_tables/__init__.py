"""Purchases, allocations and slots, told to the tables of a back office."""
