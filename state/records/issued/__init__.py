"""Purchases and allocations as Avro records, and back."""
