"""A Redis of a test's own."""

from support.redis.fixtures import server

__all__ = ["server"]
