"""Purchases as Avro records, and back."""
