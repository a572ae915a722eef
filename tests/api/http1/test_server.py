"""The server of a pod over real sockets: look-ups at once, and an end in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop
from support.pods.conditions import until
from support.pods.look_ups import TOKEN, LookUpPod
from support.records.status_records import EVENT, counts

from api.availability.endpoints import lookups_of
from api.availability.stream import streams_of
from api.http1.connection import ASGIApp, Connection
from api.http1.server import FILES_KEPT, HttpServer, connections_of
from api.serving import http_server, listen_at

GET = b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n"
BOUND_S = 60
ORIGIN = "https://shop.example"


@asynccontextmanager
async def connected(
    server: HttpServer,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with listen_at("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        await server.listen(listener)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(BOUND_S):
                yield reader, writer
        finally:
            writer.close()
            server.abort()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Return one answer whose length is told."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return head + await reader.readexactly(int(length.partition(b":")[2]))


def waiting(release: asyncio.Event, begun: asyncio.Event) -> ASGIApp:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        begun.set()
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 1_000_000})

    return application


@pytest.mark.parametrize("origins", [(), (ORIGIN,)], ids=["no CORS", "CORS"])
def test_look_ups_are_answered_at_once_unless_there_is_cors_to_think_of(
    origins: tuple[str, ...],
) -> None:
    pod = LookUpPod(cors_origins=origins)
    pod.fed.tell(counts(3, 10))
    pod.fed.heartbeat()
    # Whoever has never asked goes the long way.
    assert pod.ask().status == 200
    server = http_server(pod.pod.settings, pod.pod)
    assert (server.quick is None) is bool(origins)
    request = (
        f"GET /v1/events/{EVENT}/availability HTTP/1.1\r\nHost: pod\r\nOrigin: {ORIGIN}\r\n"
        f"Authorization: {TOKEN['Authorization']}\r\n\r\n"
    ).encode()

    async def go() -> None:
        async with connected(server) as (reader, writer):
            for _ in range(2):
                writer.write(request)
                told = await answer(reader)
                assert b'"free":10' in told
                assert (b"access-control-allow-origin: " in told) is bool(origins)

    uvloop.run(go())


def test_an_end_waits_for_requests_under_way_and_takes_no_other() -> None:
    async def go() -> None:
        release, begun = asyncio.Event(), asyncio.Event()
        server = HttpServer(waiting(release, begun))
        async with connected(server) as (reader, writer):
            writer.write(GET + GET)
            await begun.wait()
            ending = asyncio.create_task(server.stop(BOUND_S))
            release.set()
            assert b"connection: close" in await answer(reader)
            assert await reader.read() == b""
            assert await ending

    uvloop.run(go())


def test_an_end_has_its_time_and_idle_connections_cost_none_of_it() -> None:
    async def go() -> None:
        idle = HttpServer(waiting(asyncio.Event(), asyncio.Event()))
        async with connected(idle) as (reader, _):
            assert await idle.stop(BOUND_S)
            assert await reader.read() == b""
        begun = asyncio.Event()
        stuck = HttpServer(waiting(asyncio.Event(), begun))
        async with connected(stuck) as (reader, writer):
            writer.write(GET)
            await begun.wait()
            assert not await stuck.stop(0.01)
            assert await reader.read() == b""

    uvloop.run(go())


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_f6_waits_and_streams_end_with_the_client_of_a_connection(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that closed may only have said all: some ticks tell, here of a hundredth of a second."""
    monkeypatch.setattr("api.http1.server.TICK_S", 0.01)
    pod = LookUpPod(wait_max_ms=60_000)
    pod.fed.tell(counts(3, 10))
    pod.fed.heartbeat()
    path = f"/v1/events/{EVENT}/availability"
    waits, streams = lookups_of(pod.pod).waits, streams_of(pod.pod)

    async def go() -> None:
        for query in ("?min_version=9&sections=S1&wait_ms=60000", "/stream"):
            server = http_server(pod.pod.settings, pod.pod)
            async with connected(server) as (_, writer):
                head = f"GET {path}{query} HTTP/1.1\r\nHost: pod\r\n"
                token = TOKEN["Authorization"]
                writer.write(f"{head}Authorization: {token}\r\n\r\n".encode())
                await until(lambda: len(waits) + streams.open == 1)
                if how == "reset":
                    writer.transport.abort()
                else:
                    writer.write_eof()
                await until(lambda: len(waits) + streams.open == 0)

    uvloop.run(go())


@pytest.mark.parametrize("turn", ["look_after", "finish"])
def test_a_connection_that_fails_in_its_turn_is_cut_off_and_the_others_have_theirs(
    turn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four idle connections the one whose turn is first fails in it; yet all of them end."""
    monkeypatch.setattr("api.http1.server.TICK_S", 0.01)
    failing: list[Connection] = []
    rightly = getattr(Connection, turn)

    def take_turn(connection: Connection, *given: int) -> None:
        if not failing:
            failing.append(connection)
        if connection is failing[0]:
            raise ValueError("its turn fails")
        rightly(connection, *given)

    async def go() -> None:
        server = HttpServer(waiting(asyncio.Event(), asyncio.Event()))
        async with connected(server) as first, AsyncExitStack() as ending:
            host, port = first[1].get_extra_info("peername")
            others = [await asyncio.open_connection(host, port) for _ in range(3)]
            for _, writer in others:
                ending.callback(writer.close)
            await until(lambda: len(server._connections) == 4)
            monkeypatch.setattr(Connection, turn, take_turn)
            if turn == "finish":
                assert await server.stop(BOUND_S)
            else:
                server.idle_s = 0
            for reader, _ in (first, *others):
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
            await until(lambda: not server._connections)

    uvloop.run(go())
    assert failing


def test_nobody_waits_for_a_segment_to_fill() -> None:
    async def go() -> None:
        release, begun = asyncio.Event(), asyncio.Event()
        server = HttpServer(waiting(release, begun))
        async with connected(server) as (_, writer):
            writer.write(GET)
            await begun.wait()
            (connection,) = server._connections
            taken = connection._wire.transport.get_extra_info("socket")
            assert taken.getsockopt(6, 1)

    uvloop.run(go())


@pytest.mark.parametrize("files", [64, 256, FILES_KEPT + 1, 1_024, 20_256])
def test_however_few_files_a_process_may_open_some_are_connections(files: int) -> None:
    assert files // 2 <= connections_of(files) < files
    assert connections_of(20_256) == 20_000
