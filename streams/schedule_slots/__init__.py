"""The slots of allocations, planned ahead."""
