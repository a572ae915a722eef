"""Locks of seats as they lie in Redis, found by SCAN; none of the workers' own code reads them."""

from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

LOCKS = "seatstream:lock:*"
PAGE = 1_000
TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class SeenLock:
    """One lock.

    owner:   who has it; None for what is no lock of ours, whatever it is.
    left_ms: until it ends; -1 for never.
    """

    key: bytes
    owner: bytes | None
    left_ms: int


def read_locks(url: str) -> tuple[SeenLock, ...]:
    """Return all locks, sorted by key; raises RedisError, and ValueError for no address."""
    with Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as redis:
        found = (seen(redis, key) for key in sorted({*redis.scan_iter(LOCKS, PAGE)}))
        return tuple(one for one in found if one is not None)


def seen(redis: Any, key: bytes) -> SeenLock | None:
    """Return what lies under a key; None where it has ended meanwhile."""
    # At one moment: another may take a seat whose lock has just ended.
    fields, left_ms = (
        redis.pipeline().hmget(key, ["o", "t", "f", "u"]).pttl(key).execute(raise_on_error=False)
    )
    if left_ms == -2:
        return None
    if isinstance(fields, ResponseError) and str(fields).startswith("WRONGTYPE"):
        return SeenLock(key, None, left_ms)
    for answer in (fields, left_ms):
        # Who may not read it does not know whose it is.
        if isinstance(answer, Exception):
            raise answer
    return SeenLock(key, None if None in fields else fields[0], left_ms)
