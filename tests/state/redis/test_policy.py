"""A Redis that drops keys for room is refused; one that is not there is not."""

import asyncio

import pytest
from redis.asyncio import Redis

from infra.stack.ports import free_ports
from infra.stack.redis_server import RedisServer
from state.redis.line import RedisLine
from state.redis.policy import KEEPS, Evicts, check_policy, check_policy_at


@pytest.mark.redis
def test_l26_a_server_that_evicts_is_refused_whatever_it_would_drop(server: RedisServer) -> None:
    async def go() -> None:
        line = RedisLine(server.url, "nothing goes on without it")
        told = await asyncio.to_thread(check_policy_at, server.url)
        assert await check_policy(line.ask) == told == KEEPS
        async with Redis.from_url(server.url) as admin:
            for policy in ("allkeys-lru", "volatile-ttl", "allkeys-random"):
                await admin.config_set("maxmemory-policy", policy)
                with pytest.raises(Evicts, match=f"{policy}.*needs? maxmemory-policy noeviction"):
                    await asyncio.to_thread(check_policy_at, server.url)
                with pytest.raises(Evicts):
                    await check_policy(line.ask)
        await line.close()

    asyncio.run(go())


def test_a_server_that_is_not_there_is_no_reason_not_to_start() -> None:
    [nobody] = free_ports(1)
    assert check_policy_at(f"redis://127.0.0.1:{nobody}/0") == ""
