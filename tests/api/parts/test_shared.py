"""What pods share through Redis, as parts of a pod."""

import asyncio
from pathlib import Path

import pytest
from support.redis.nodes import servers

from api.parts.part import Closed
from api.parts.shared import RedisPolicy, of_limits, of_pre_locks
from api.web.metrics import ApiMetrics
from state.redis.policy import Evicts
from state.redis.pre_lock import PreLocks
from state.redis.rate_limit import RateLimits


def test_a_pod_without_redis_asks_for_no_policy() -> None:
    asyncio.run(RedisPolicy("").start())


@pytest.mark.redis
def test_a_redis_that_drops_keys_for_room_is_not_started_with(tmp_path: Path) -> None:
    with (
        servers(tmp_path, 1, "--maxmemory-policy", "volatile-lru") as [server],
        pytest.raises(Evicts, match="volatile-lru"),
    ):
        # One that does not answer tells nothing; the next is asked.
        asyncio.run(RedisPolicy("redis://127.0.0.1:1/0", server.url).start())


def test_what_redis_was_not_asked_for_is_counted_as_skipped() -> None:
    async def scenario() -> None:
        limits, pre_locks = RateLimits(""), PreLocks("", 0)
        part = Closed("limits", limits, of_limits)
        assert part.given is limits
        assert (ApiMetrics.limits_skipped, 0) in list(part.readings())
        pre_locks.counters.skipped += 1
        assert (ApiMetrics.pre_locks_skipped, 1) in list(of_pre_locks(pre_locks))
        await part.close()

    asyncio.run(scenario())
