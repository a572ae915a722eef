"""A client of redis-py: its connections are few, and a lost one is made again by itself."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as NoConnection

from infra.stack.redis_server import RedisServer
from state.redis.client import CONNECTIONS_MAX, client_of


def test_more_at_once_than_there_are_connections_are_all_answered(redis_url: str) -> None:
    async def go() -> None:
        client: Any = client_of(redis_url, timeout_s=30.0)
        try:
            asked = [client.execute_command("ECHO", f"{n}") for n in range(20 * CONNECTIONS_MAX)]
            answers = await asyncio.gather(*asked)
            assert answers == [f"{n}".encode() for n in range(len(asked))]
        finally:
            await client.aclose()

    asyncio.run(go())


def test_a_connection_that_was_lost_is_made_again_within_the_same_question(redis_url: str) -> None:
    async def go() -> None:
        client: Any = client_of(redis_url, timeout_s=30.0)
        try:
            number = await client.client_id()
            other: Any = client_of(redis_url, timeout_s=30.0)
            await other.client_kill_filter(_id=str(number))
            await other.aclose()
            assert await client.execute_command("PING") in {True, b"PONG"}
            assert await client.client_id() != number
        finally:
            await client.aclose()

    asyncio.run(go())


@pytest.mark.redis
def test_a_server_that_is_gone_is_an_error_after_some_tries(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def pause(seconds: float, *_: Any) -> None:
        pauses.append(seconds)

    async def go() -> None:
        client: Any = client_of(server.url)
        server.kill()
        monkeypatch.setattr("redis.asyncio.retry.sleep", pause)
        with pytest.raises(NoConnection):
            await client.execute_command("PING")
        await client.aclose()

    asyncio.run(go())
    assert len(pauses) >= 3
    assert max(pauses) <= 2.0
