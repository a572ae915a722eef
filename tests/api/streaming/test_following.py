"""Streams that are looked after once a second: who is kept alive, dropped, or has heard all."""

import asyncio
from time import monotonic
from typing import Any

import pytest

from api.streaming import client as streamed
from api.streaming.client import STUCK_S
from api.streaming.following import COMMENT, HOLD, RETRY, Followers


class Told(Followers[str]):
    """Streams that are told `news` once, and then have all."""

    news: bytes = b""

    async def look(self, group: int) -> None:
        assert group in range(5)
        for follower in self.all():
            if self.news and not follower.has_all:
                follower.offer(self.news, monotonic())
                follower.has_all = True


async def _never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


def test_who_has_heard_all_is_ended_once_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "TICK_S", 0.002)
    sent: list[bytes] = []

    async def go() -> None:
        streams = Told("told", asyncio.Event(), 9)
        grown = asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))
            grown.set()

        follower = streams.follower("ann", "")
        serving = asyncio.create_task(streams.serve("x", follower, None, _never, send))
        async with asyncio.timeout(60):
            while COMMENT not in sent[2:]:
                await grown.wait()
                grown.clear()
            streams.news = b"data: 1\n\n"
            await serving
        assert not list(streams.all())

    asyncio.run(go())
    assert sent[1] == RETRY + COMMENT
    assert sent[-2:] == [b"data: 1\n\n", b""]


def test_who_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "TICK_S", 0.002)

    async def go() -> None:
        streams = Told("told", asyncio.Event(), 9)
        follower = streams.follower("ann", "")

        async def send(_: Any) -> None:
            assert follower.stuck_s is not None
            follower.stuck_s -= 2 * STUCK_S
            await asyncio.Event().wait()

        async with asyncio.timeout(60):
            await streams.serve("x", follower, None, _never, send)
        assert not list(streams.all())

    asyncio.run(go())


def test_that_nothing_can_be_looked_at_is_said_once() -> None:
    async def go() -> None:
        follower = Told("told", asyncio.Event(), 9).follower("ann", "here")
        assert [follower.hold(), follower.hold(), follower.told] == [HOLD, None, ""]

    asyncio.run(go())
