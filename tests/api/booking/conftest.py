"""Fixtures of the tests with Redis."""

from support.redis.fixtures import patient_with_redis, server

__all__ = ["patient_with_redis", "server"]
