import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support.gateways.serving import served

from streams.gateways.calls import HttpCalls, Said, json_object
from streams.gateways.protocol import ANSWER_BYTES_MAX, Unavailable, Unknown

PATIENCE_S = 60.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def asked(answer: bytes, check: Callable[[Any, bytes], None]) -> None:
    """Ask a server that says exactly these bytes, and then hangs up; check (answer, request)."""

    async def whole() -> None:
        heard: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        calls = HttpCalls(f"http://{host}:{port}/", {"Authorization": "Bearer key_geheim"})
        try:
            said = await calls.ask("POST", "/v1/x", PATIENCE_S, headers={"Idempotency-Key": "k"})
            check(said, heard[0])
            assert "geheim" not in repr([said, calls])
        finally:
            await calls.close()
            server.close()
            await server.wait_closed()

    asyncio.run(whole())


def test_an_answer_is_its_status_and_its_fields() -> None:
    def check(said: Any, request: bytes) -> None:
        assert said == Said(200, {"a": 1})
        assert request.startswith(b"POST /v1/x HTTP/1.1\r\n")
        assert b"Idempotency-Key: k\r\n" in request
        assert b"Authorization: Bearer key_geheim\r\n" in request
        assert b"Accept-Encoding: identity\r\n" in request

    asked(HEAD + b'Content-Length: 8\r\n\r\n{"a": 1}', check)


UNKNOWN = {
    "nothing": b"",
    "no HTTP": b"\x00\x01\x02\x03\r\n\r\n",
    "half a head": HEAD,
    "half a body": HEAD + b'Content-Length: 100\r\n\r\n{"a": 1}',
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "no JSON": HEAD + b"Content-Length: 3\r\n\r\nyes",
    "no UTF-8": HEAD + b"Content-Length: 2\r\n\r\n\xff\xfe",
    "no object": HEAD + b"Content-Length: 2\r\n\r\n[]",
    "packed": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
    "a huge head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "too large": HEAD
    + b"Content-Length: %d\r\n\r\n" % (ANSWER_BYTES_MAX + 1)
    + b" " * (ANSWER_BYTES_MAX + 1),
    "endless chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b" " * 4096,
    "a bad chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "500": b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}",
    "503": b"HTTP/1.1 503 No\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\n{}",
    "408": b"HTTP/1.1 408 No\r\nContent-Length: 2\r\n\r\n{}",
    "deep": HEAD + b"Content-Length: 60000\r\n\r\n" + b'{"a":' * 12_000,
    "a long number": HEAD + b"Content-Length: 5006\r\n\r\n" + b'{"a":' + b"9" * 5_000 + b"}",
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_bytes_that_cannot_be_read_leave_it_unknown(case: str) -> None:
    def check(said: Any, _request: bytes) -> None:
        assert isinstance(said, Unknown), said
        assert said.in_trouble
        assert len(said.why) <= 200

    asked(UNKNOWN[case], check)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"7", 7.0),
        (b"0", 0.0),
        (b"99999999999999999999", 3_600.0),
        (b"-1", 0.0),
        (b"1.5", 0.0),
        (b"soon", 0.0),
        (b"Fri, 27 Nov 2026 03:10:00 GMT", 0.0),
    ],
)
def test_f54_who_is_sent_away_is_told_for_how_long(text: bytes, seconds: float) -> None:
    def check(said: Any, _request: bytes) -> None:
        assert said == Unavailable("too many requests: 429", seconds)

    asked(b"HTTP/1.1 429 No\r\nRetry-After: %b\r\nContent-Length: 0\r\n\r\n" % text, check)


def test_a_redirect_is_not_followed() -> None:
    def check(said: Any, _request: bytes) -> None:
        assert said == Said(307, {})

    asked(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 2\r\n\r\n{}", check)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_object_or_none(content: bytes) -> None:
    assert json_object(content) is None or isinstance(json_object(content), dict)


def test_a_call_waits_for_no_other_of_its_gateway_however_many_are_under_way() -> None:
    # More than aiohttp keeps open by itself: who bounds calls is the executor, by its settings.
    count = 120

    async def whole() -> None:
        arrived = 0
        all_there = asyncio.Event()

        async def answer(_: web.Request) -> web.Response:
            nonlocal arrived
            arrived += 1
            if arrived == count:
                all_there.set()
            await all_there.wait()
            return web.json_response({"a": 1})

        application = web.Application()
        application.router.add_get("/v1/x", answer)
        async with served(application) as address:
            calls = HttpCalls(address, {})
            try:
                asking = [calls.ask("GET", "/v1/x", PATIENCE_S) for _ in range(count)]
                said = await asyncio.gather(*asking)
            finally:
                all_there.set()
                await calls.close()
        assert said == [Said(200, {"a": 1})] * count

    asyncio.run(whole())
