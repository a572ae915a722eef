"""A script is told to a server once, and again where it was forgotten."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from state.redis.scripts import Script, read_as


def test_a_server_is_told_a_script_only_where_it_does_not_know_it() -> None:
    heard: list[str] = []
    known: set[str] = set()

    async def ask(*command: Any) -> Any:
        heard.append(command[0])
        if command[0] == "EVALSHA" and command[1] not in known:
            known.add(command[1])
            raise NoScriptError
        return command[2:]

    async def go() -> None:
        script = Script("release")
        for _ in range(2):
            assert await script.run(ask, ("a", "b"), ("x", 1)) == (2, "a", "b", "x", 1)
        assert heard == ["EVALSHA", "EVAL", "EVALSHA"]

    asyncio.run(go())


def test_every_script_is_known_by_the_name_that_redis_gives_it(redis_url: str) -> None:
    async def go() -> None:
        async with Redis.from_url(redis_url) as client:
            for name in ("acquire", "extend", "rate_limit", "release"):
                script = Script(name)
                assert await client.script_load(script.text) == script._sha

    asyncio.run(go())


@pytest.mark.parametrize(
    "read",
    [
        lambda told: int(told[0]),
        lambda told: told[0].decode("ascii"),
        lambda told: told.decode(),
        lambda told: told[2],
        int,
    ],
)
def test_whatever_cannot_be_read_is_a_strangers(read: Callable[[Any], Any]) -> None:
    class Unreadable(Exception):
        pass

    with pytest.raises(Unreadable), read_as(Unreadable):
        read([b"\xff", b"1"])


def test_an_answer_that_can_be_read_is_none() -> None:
    with read_as(ValueError):
        assert int(b"7") == 7
