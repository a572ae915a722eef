"""Purchases and allocations, told to the tables of a back office."""
