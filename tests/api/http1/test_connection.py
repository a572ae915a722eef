"""Bytes of a connection become requests and answers: over a transport in memory, tick by tick."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http1.connection import (
    AT_ONCE,
    HALF_CLOSED_S,
    KNOWN_MAX,
    LINGER_S,
    Connection,
)
from api.http1.exchange import BODY_BYTES_AHEAD
from api.http1.server import HttpServer
from api.web.problems import Problem

Asked = list[tuple[str, str, bytes]]
App = Callable[[Any, Any, Any], Awaitable[None]]

GET = b"GET /a?b=c HTTP/1.1\r\nHost: pod\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: pod\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
CHUNKS = (
    b"POST /c HTTP/1.1\r\nHost: pod\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4;x=y\r\n\r\n\r\n\r\n3\r\nabc\r\n0\r\nTrailer: t\r\n\r\n"
)
OLD = b"GET /o HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
UPGRADE = b"GET /u HTTP/1.1\r\nHost: pod\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
BROKEN = (
    b"hello\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : pod\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: pod\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\nGET / HTTP/1.1\r\nHost: pod\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: pod\r\n\r\n",
    b"GET /#a HTTP/1.1\r\nHost: pod\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: pod\r\n\r\n",
    b"GET / HTTP/1.1\n\n",
)

QUICK = (
    {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]},
    {"type": "http.response.body", "body": b"{}"},
)


class Transport:
    """The other end of a connection: what was sent, and what was done to it."""

    def __init__(self) -> None:
        self.sent = b""
        self.reads = True
        self.has_ended = self.is_closed = self.is_aborted = False
        self.connection: Connection | None = None
        # Written, and not taken by the client yet.
        self.unsent = 0

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("127.0.0.1", 1)

    def write(self, data: bytes) -> None:
        assert not self.has_ended
        self.sent += data

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.write(b"".join(parts))

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write_eof(self) -> None:
        self.has_ended = True

    def is_closing(self) -> bool:
        return self.is_closed or self.is_aborted

    def pause_reading(self) -> None:
        assert self.reads
        self.reads = False

    def resume_reading(self) -> None:
        assert not self.reads
        self.reads = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def statuses(self) -> list[int]:
        return [int(one) for one in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", self.sent)]


class Client:
    """A connection and who sends to it; to be made in a loop."""

    def __init__(self, application: App, quick: Any = None, **bounds: int) -> None:
        self.server = HttpServer(application, quick, **bounds)
        self.transport = Transport()
        self.connection = Connection(self.server)
        self.connection.connection_made(cast(asyncio.Transport, self.transport))

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.connection.data_received(part)
            await self.settle()

    async def settle(self) -> None:
        # Two turns of the loop for each request that is here, and some more.
        for _ in range(50):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.server.tick += 1
            self.connection.look_after(self.server.tick)
        await self.settle()


def told(asked: Asked) -> App:
    """Return an application that notes what it is asked, and tells it."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        refusal: Problem | None = scope["state"].get("refusal")
        status, body = (refusal.status if refusal else 200), b""
        while not refusal:
            message = await receive()
            if message["type"] == "http.disconnect":
                status = 400
                break
            body += message["body"]
            if not message["more_body"]:
                break
        asked.append((scope["method"], scope["path"], body))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return application


def cut(text: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place % len(text) for place in places} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(ends)]


@given(
    st.lists(st.sampled_from([GET, POST, CHUNKS, OLD, UPGRADE]), min_size=1, max_size=6),
    st.sampled_from([b"", *BROKEN]),
    st.lists(st.integers(0, 10_000), max_size=40),
    st.sets(st.integers(0, 40)),
    st.booleans(),
)
def test_however_bytes_are_cut_the_requests_and_answers_are_the_same(
    requests: list[bytes], broken: bytes, places: list[int], pauses: set[int], half_closes: bool
) -> None:
    """And however long a client leaves its answers unread."""
    expected = {
        GET: ("GET", "/a", b""),
        POST: ("POST", "/p", b"\r\n\r\n"),
        CHUNKS: ("POST", "/c", b"\r\n\r\nabc"),
        OLD: ("GET", "/o", b""),
        UPGRADE: ("GET", "/u", b""),
    }

    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked))
        for number, part in enumerate(cut(b"".join(requests) + broken, places)):
            if number in pauses:
                client.connection.pause_writing()
            await client.send(part)
            if number in pauses and not half_closes:
                client.connection.resume_writing()
                await client.settle()
        if half_closes:
            client.connection.eof_received()
            await client.settle()
            client.connection.resume_writing()
            await client.settle()
        assert asked[: len(requests)] == [expected[one] for one in requests]
        refused = [] if not broken else [400]
        assert client.transport.statuses() == [200] * len(requests) + refused
        # Behind what has no meaning nothing is read; a client that said all has its end.
        assert client.transport.has_ended is (bool(broken) and not half_closes) or half_closes
        assert client.transport.is_closed is half_closes
        assert len(asked) == len(requests) + len(refused)

    asyncio.run(go())


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_no_bytes_are_anything_but_requests_or_problems(noise: bytes, places: list[int]) -> None:
    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked))
        await client.send(*cut(noise + b"\r\n\r\n", places))
        client.connection.eof_received()
        await client.settle()
        assert set(client.transport.statuses()) <= {200, 400, 414, 431, 501}
        assert client.transport.is_closed

    asyncio.run(go())


@pytest.mark.parametrize("broken", BROKEN)
def test_f5_behind_what_has_two_meanings_nothing_is_read(broken: bytes) -> None:
    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked))
        await client.send(broken + GET, GET)
        assert client.transport.statuses() == [400]
        assert b"connection: close\r\n" in client.transport.sent
        assert (len(asked), client.transport.has_ended) == (1, True)
        # The answer is not lost to bytes that nobody reads: they are read and thrown away.
        assert client.transport.reads
        await client.pass_time(LINGER_S + 1)
        assert client.transport.is_aborted

    asyncio.run(go())


@pytest.mark.parametrize("length", [b"0" * 5_000, b"0" * 5_000 + b"5", b"0" * 20 + b"5"])
def test_f5_a_length_of_more_digits_than_any_body_has_is_refused(length: bytes) -> None:
    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked))
        head = GET.replace(b"\r\n\r\n", b"\r\nContent-Length: " + length + b"\r\n\r\n")
        await client.send(head + b"hello", GET)
        assert client.transport.statuses() == [400]
        assert ([body for *_, body in asked], client.transport.has_ended) == ([b""], True)

    asyncio.run(go())


LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("is_half_closed", [False, True])
def test_f6_a_last_answer_is_given_to_its_end_however_slowly_it_is_taken(
    is_half_closed: bool,
) -> None:
    async def go() -> None:
        client = Client(told([]), idle_s=10)
        client.transport.unsent = 100
        await client.send(LAST)
        if is_half_closed:
            client.connection.eof_received()
        for _ in range(100):
            await client.pass_time(9)
            client.transport.unsent -= 1
            assert not client.transport.is_aborted
        # Whatever is left to say has been said: now the end is waited for.
        await client.pass_time(LINGER_S)
        assert not client.transport.is_aborted
        await client.pass_time(2)
        assert client.transport.is_aborted

    asyncio.run(go())


def test_f6_a_last_answer_that_nobody_takes_is_cut() -> None:
    async def go() -> None:
        client = Client(told([]), idle_s=10)
        client.transport.unsent = 100
        await client.send(LAST)
        await client.pass_time(10)
        assert not client.transport.is_aborted
        await client.pass_time(2)
        assert client.transport.is_aborted

    asyncio.run(go())


def test_f6_a_large_answer_goes_on_while_some_of_it_is_taken() -> None:
    async def go() -> None:
        client = Client(told([]), idle_s=10)
        await client.send(GET)
        client.transport.unsent = 100
        client.connection.pause_writing()
        for _ in range(50):
            await client.pass_time(9)
            client.transport.unsent -= 1
            assert not client.transport.is_aborted
        await client.pass_time(12)
        assert client.transport.is_aborted

    asyncio.run(go())


@pytest.mark.parametrize("name", [b"Upgrade", b"UPGRADE", b"upgrade"])
def test_an_offer_to_upgrade_is_passed_over_however_it_is_written(name: bytes) -> None:
    async def go() -> None:
        client = Client(told([]))
        await client.send(
            UPGRADE.replace(b"Upgrade:", name + b":").replace(b": Upgrade", b": " + name)
        )
        assert client.transport.statuses() == [200]

    asyncio.run(go())


def test_f5_a_chunk_that_is_none_ends_its_request_and_the_connection() -> None:
    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked))
        await client.send(CHUNKS.replace(b"3\r\n", b"x\r\n") + GET)
        assert client.transport.statuses() == [400]
        assert client.transport.has_ended

    asyncio.run(go())


def held(release: asyncio.Event, begun: list[str]) -> App:
    """Return an application that answers when it is told to."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        begun.append(scope["path"])
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 10})

    return application


def test_one_request_of_a_connection_is_answered_at_a_time_and_the_others_wait_outside() -> None:
    async def go() -> None:
        release, begun = asyncio.Event(), list[str]()
        client = Client(held(release, begun))
        await client.send(GET * 10_000)
        assert (len(begun), client.transport.reads) == (1, False)
        release.set()
        while len(begun) < 10_000:
            await client.settle()
        await client.settle()
        assert client.transport.statuses() == [200] * 10_000
        assert client.transport.reads

    asyncio.run(go())


def test_a_client_that_does_not_read_gets_no_further_answer_and_is_cut_off() -> None:
    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked), idle_s=30)
        client.connection.pause_writing()
        await client.send(GET * 3)
        assert asked == []
        client.connection.resume_writing()
        await client.settle()
        assert len(asked) == 3
        client.transport.unsent = 1
        client.connection.pause_writing()
        await client.pass_time(30)
        assert not client.transport.is_aborted
        await client.pass_time(1)
        assert client.transport.is_aborted

    asyncio.run(go())


@pytest.mark.parametrize("behind", [b"", GET[:-2]])
def test_who_reads_again_is_read_again(behind: bytes) -> None:
    large = GET[:-2] + b"Large: " + b"x" * 40_000 + b"\r\n\r\n"

    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked), lambda _: lambda: QUICK)
        client.connection.pause_writing()
        await client.send(large * 2 + behind)
        assert (client.transport.statuses(), client.transport.reads) == ([], False)
        client.connection.resume_writing()
        await client.settle()
        assert (client.transport.statuses(), client.transport.reads) == ([200] * 2, True)

    asyncio.run(go())


def test_what_is_quick_is_answered_in_the_callback_and_others_have_their_turn_between() -> None:
    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked), lambda _: lambda: QUICK)
        client.connection.data_received(GET * (AT_ONCE + 1))
        assert len(client.transport.statuses()) == AT_ONCE
        await client.settle()
        assert len(client.transport.statuses()) == AT_ONCE + 1
        # What ends the connection, or has a body, is no quick question.
        await client.send(POST, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert [method for method, _, _ in asked] == ["POST", "GET"]
        assert client.transport.has_ended

    asyncio.run(go())


@pytest.mark.parametrize("further", [b"", b"X-Correlation-Id: a\r\n", b"Large: " + b"x" * 2_048])
def test_a_head_that_was_understood_is_known_by_its_bytes_and_asked_anew(further: bytes) -> None:
    """But for those that never come again, or are too large to keep."""
    asked: Asked = []
    answers: list[Any] = [QUICK, QUICK, None, QUICK]
    read: list[str] = []

    def quick(scope: Any) -> Any:
        read.append(scope["path"])
        return lambda: answers.pop(0)

    async def go() -> None:
        client = Client(told(asked), quick)
        head = GET[:-2] + further + b"\r\n" * (2 if len(further) > 100 else 1)
        await client.send(head, head)
        assert (len(read), asked) == (2 if further else 1, [])
        if not further:
            # What has no answer at once any more takes the long way, read again in full.
            answers.insert(0, None)
            await client.send(head)
            assert (len(read), [method for method, _, _ in asked]) == (2, ["GET"])
            await client.send(head.replace(b"/a", b"/b"))
            assert read[-1] == "/b"
        assert set(client.transport.statuses()) == {200}
        assert len(client.server.known) == (0 if further else 2)

    asyncio.run(go())


def test_heads_that_are_known_are_few() -> None:
    async def go() -> None:
        client = Client(told([]), lambda _: lambda: QUICK)
        for number in range(KNOWN_MAX + 1):
            client.connection.data_received(GET.replace(b"/a", b"/%d" % number))
            await asyncio.sleep(0)
        assert len(client.server.known) == 1

    asyncio.run(go())


def test_f6_a_client_that_sends_nothing_more_is_waited_for_and_not_for_ever() -> None:
    async def go() -> None:
        release, begun = asyncio.Event(), list[str]()
        client = Client(held(release, begun))
        await client.send(GET)
        client.connection.eof_received()
        await client.pass_time(HALF_CLOSED_S)
        assert not client.transport.is_closed
        release.set()
        await client.settle()
        assert (client.transport.statuses(), client.transport.is_closed) == ([200], True)

    asyncio.run(go())


@pytest.mark.parametrize("how", ["gone", "silent for too long"])
def test_f6_who_waits_for_a_client_hears_that_it_is_gone(how: str) -> None:
    async def go() -> None:
        heard: list[str] = []

        async def application(_scope: Any, receive: Any, _send: Any) -> None:
            heard.append((await receive())["type"])
            heard.append((await receive())["type"])

        client = Client(application)
        await client.send(GET)
        assert heard == ["http.request"]
        if how == "gone":
            client.connection.connection_lost(ConnectionResetError())
        else:
            client.connection.eof_received()
            await client.pass_time(HALF_CLOSED_S + 1)
        await client.settle()
        assert heard == ["http.request", "http.disconnect"]
        # No answer was given, so what there is of one must not pass for a whole.
        assert client.transport.is_aborted

    asyncio.run(go())


def test_f6_a_head_has_its_time_and_an_idle_connection_has_another() -> None:
    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked), idle_s=20, head_s=5)
        await client.pass_time(19)
        await client.send(GET)
        await client.pass_time(20)
        assert not client.transport.is_closed
        await client.send(b"GET / HT", b"TP/1.1")
        await client.pass_time(5)
        assert client.transport.statuses() == [200]
        await client.pass_time(1)
        assert client.transport.statuses() == [200, 408]
        quiet = Client(told(asked), idle_s=20, head_s=5)
        await quiet.pass_time(21)
        assert (quiet.transport.sent, quiet.transport.is_closed) == (b"", True)

    asyncio.run(go())


def test_one_connection_too_many_is_told_so() -> None:
    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked), connections_max=1)
        transport = Transport()
        Connection(client.server).connection_made(cast(asyncio.Transport, transport))
        await client.settle()
        assert (transport.statuses(), transport.is_closed) == ([429], True)
        await client.send(GET)
        assert client.transport.statuses() == [200]

    asyncio.run(go())


def test_a_body_is_asked_for_when_somebody_wants_it() -> None:
    expecting = POST[:-8] + b"\r\nExpect: 100-continue\r\n\r\n"

    async def go() -> None:
        asked: Asked = []
        client = Client(told(asked))
        await client.send(expecting)
        assert client.transport.statuses() == [100]
        await client.send(b"body")
        assert (client.transport.statuses(), asked) == ([100, 200], [("POST", "/p", b"body")])
        release = asyncio.Event()
        release.set()
        refusing = Client(held(release, []))
        await refusing.send(expecting)
        # Whatever comes now is not read as a request.
        assert (refusing.transport.statuses(), refusing.transport.has_ended) == ([200], True)

    asyncio.run(go())


def test_a_body_that_nobody_reads_stays_with_the_client() -> None:
    async def go() -> None:
        release = asyncio.Event()
        client = Client(held(release, []))
        await client.send(POST.replace(b": 4", b": 999999999")[:-4])
        for _ in range(1 + BODY_BYTES_AHEAD // 10_000):
            await client.send(b"x" * 10_000)
        assert not client.transport.reads
        release.set()
        await client.settle()
        assert client.transport.statuses() == [200]
        assert client.transport.reads

    asyncio.run(go())


def streaming(cuts_off: bool) -> App:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for body in (b"one", b"", b"x" * 20_000):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        if not cuts_off:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return application


def test_a_stream_is_chunks_or_for_an_old_client_all_until_the_end() -> None:
    async def go() -> None:
        client = Client(streaming(cuts_off=False))
        await client.send(GET)
        body = client.transport.sent.partition(b"\r\n\r\n")[2]
        assert body == b"3\r\none\r\n4e20\r\n" + b"x" * 20_000 + b"\r\n0\r\n\r\n"
        assert not client.transport.has_ended
        old = Client(streaming(cuts_off=False))
        await old.send(OLD)
        assert old.transport.sent.partition(b"\r\n\r\n")[2] == b"one" + b"x" * 20_000
        assert old.transport.has_ended
        cut_off = Client(streaming(cuts_off=True))
        await cut_off.send(GET)
        assert not cut_off.transport.sent.endswith(b"0\r\n\r\n")
        assert cut_off.transport.is_aborted

    asyncio.run(go())


@pytest.mark.parametrize(
    "header", [(b"location", b"/a\r\nset-cookie: b"), (b"a\nb", b"c"), (b"a", b"b\rc")]
)
def test_no_header_of_an_answer_begins_another(header: tuple[bytes, bytes]) -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [header]})
        await send({"type": "http.response.body", "body": b""})

    async def go() -> None:
        client = Client(application)
        await client.send(GET)
        assert (client.transport.sent, client.transport.is_aborted) == (b"", True)

    asyncio.run(go())
