"""Holds of several sections as one."""
