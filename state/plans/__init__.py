"""Seating-plan files in; plans of the domain out."""
