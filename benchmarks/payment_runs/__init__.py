"""Payments: how fast they are settled, and how fast they are taken on."""
