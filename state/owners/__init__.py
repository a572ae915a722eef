"""Stored records, asked of the worker that owns their partition."""
