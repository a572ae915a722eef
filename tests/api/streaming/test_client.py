"""One client of a stream: what is offered is sent in order, and who takes nothing is dropped."""

import asyncio
from typing import Any

import pytest

from api.streaming import client as streamed
from api.streaming.client import QUEUED_BYTES_MAX, QUEUED_FRAMES_MAX, STUCK_S, Client, Direct


class Connection:
    """The other end: what was sent to it; it is gone once told so."""

    def __init__(self) -> None:
        self.body = b""
        self.is_over = False
        self.gone = asyncio.Event()
        self.takes = asyncio.Event()
        self.takes.set()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.takes.wait()
        self.body += message.get("body", b"")
        self.is_over = message.get("more_body") is False


def test_what_is_offered_is_sent_in_order_until_the_stream_ends() -> None:
    async def go() -> None:
        connection = Connection()
        client = Client(0, 0.0)
        for number in range(3):
            assert client.offer(b"%d" % number, 0.0)
        serving = asyncio.ensure_future(client.serve(connection.receive, connection.send))
        while client.has_frames():  # noqa: ASYNC110
            await asyncio.sleep(0)
        client.offer(b"3", 0.0)
        while client.has_frames():  # noqa: ASYNC110
            await asyncio.sleep(0)
        client.end()
        await serving
        assert (connection.body, connection.is_over) == (b"0123", True)

    asyncio.run(go())


def test_a_client_that_has_gone_ends_its_stream() -> None:
    async def go() -> None:
        connection = Connection()
        client: list[Client] = []

        async def serve() -> None:
            client.append(Client(0, 0.0))
            await client[0].serve(connection.receive, connection.send)

        serving = asyncio.ensure_future(serve())
        connection.gone.set()
        await asyncio.wait({serving})
        assert client[0].is_over
        assert serving.exception() is None

    asyncio.run(go())


@pytest.mark.parametrize("size", [1, QUEUED_BYTES_MAX // 4])
def test_no_more_waits_for_a_client_than_is_allowed(size: int) -> None:
    async def go() -> None:
        client = Client(0, 0.0)
        taken = 0
        while client.offer(b"x" * size, 0.0):
            taken += 1
            assert taken <= QUEUED_FRAMES_MAX
        assert taken == (QUEUED_FRAMES_MAX if size == 1 else 5)
        assert client.take() == b"x" * size * taken

    asyncio.run(go())


def test_who_takes_nothing_for_too_long_is_stuck_and_who_takes_is_not() -> None:
    async def go() -> None:
        client = Client(0, 0.0)
        assert not client.is_stuck(1e9)
        client.offer(b"x", 100.0)
        assert not client.is_stuck(100.0 + STUCK_S)
        assert client.is_stuck(100.1 + STUCK_S)
        client.take()
        client.taken()
        assert not client.is_stuck(1e9)

    asyncio.run(go())


def test_a_cancellation_that_is_not_ours_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "LIFE_S", 5)

    async def go() -> None:
        connection = Connection()

        async def serve() -> None:
            client = Client(0, 10.0)
            assert client.ends_s == 15.0
            await client.serve(connection.receive, connection.send)

        serving = asyncio.ensure_future(serve())
        await asyncio.sleep(0)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(go())


def test_a_handler_writes_the_answer_itself() -> None:
    async def go() -> None:
        connection = Connection()

        async def handler(_: Any, __: Any, send: Any) -> None:
            await send({"type": "http.response.body", "body": b"mine", "more_body": False})

        await Direct(handler)({}, connection.receive, connection.send)
        assert connection.body == b"mine"

    asyncio.run(go())


def test_streams_are_looked_after_at_every_tick_until_none_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streamed, "TICK_S", 0.001)

    async def conversation() -> list[int]:
        streams, ticks = [1, 2, 3], list[int]()

        async def look_after(tick: int) -> None:
            ticks.append(tick)
            streams.pop()

        await streamed.every_tick(streams, asyncio.Event(), look_after)
        return ticks

    assert asyncio.run(conversation()) == [1, 2, 3]


def test_a_pod_that_is_draining_looks_after_its_streams_no_more() -> None:
    async def conversation() -> list[int]:
        draining, ticks = asyncio.Event(), list[int]()

        async def look_after(tick: int) -> None:
            ticks.append(tick)

        draining.set()
        await streamed.every_tick([1], draining, look_after)
        return ticks

    assert asyncio.run(conversation()) == []
