"""What pods share through Redis, as parts of a pod."""

import asyncio
from collections.abc import Iterator

from api.parts.part import Part
from api.web.metrics import ApiMetrics as Table
from infra.process.metrics import Reading
from state.redis.policy import check_policy_at
from state.redis.pre_lock import PreLocks
from state.redis.rate_limit import RateLimits


class RedisPolicy(Part):
    """Lets no pod start with a Redis that drops keys for room.

    urls: of each that is used; an empty one is none.
    """

    name = "redis policy"

    def __init__(self, *urls: str) -> None:
        self._urls = [url for url in urls if url]

    async def start(self) -> None:
        """Ask Redis how it makes room; raises Evicts."""
        for url in self._urls:
            await asyncio.to_thread(check_policy_at, url)


def of_limits(limits: RateLimits) -> Iterator[Reading]:
    seen = limits.statistics()
    yield Table.limits_allowed, seen.allowed
    yield Table.limits_refused, seen.refused
    yield Table.limits_skipped, seen.skipped


def of_pre_locks(pre_locks: PreLocks) -> Iterator[Reading]:
    seen = pre_locks.counters
    yield Table.pre_locks_locked, seen.locked
    yield Table.pre_locks_refused, seen.refused
    yield Table.pre_locks_skipped, seen.skipped
