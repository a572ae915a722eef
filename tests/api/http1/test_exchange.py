"""One request and its answer, over a transport that notes what is done to it."""

import asyncio
from collections.abc import Coroutine, Sequence
from http.client import HTTPResponse
from io import BytesIO
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods.conditions import until

from api.http1.exchange import (
    BODY_BYTES_AHEAD,
    JOINED_BYTES_MAX,
    STATUS_LINES,
    Exchange,
    Header,
    Wire,
    head_of,
)

DATE = b"date: Fri, 27 Nov 2026 00:00:00 GMT\r\n"


class Transport:
    """The other end of a connection: what was sent, and whether it is read from."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.reads = True
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def writelines(self, parts: Sequence[bytes]) -> None:
        self.sent += parts

    def pause_reading(self) -> None:
        assert self.reads
        self.reads = False

    def resume_reading(self) -> None:
        assert not self.reads
        self.reads = True

    def is_closing(self) -> bool:
        return self.is_closed


class Case:
    """An exchange with its wire."""

    def __init__(
        self,
        method: str = "GET",
        version: str = "1.1",
        *,
        keeps: bool = True,
        has_all: bool = True,
        expects: bool = False,
    ) -> None:
        self.transport = Transport()
        self.wire = Wire(cast(asyncio.Transport, self.transport))
        self.finished: list[Exchange] = []
        self.method = method
        self.exchange = Exchange(
            self.wire,
            {"method": method, "http_version": version},
            DATE,
            self.finished.append,
            keeps=keeps,
            has_all=has_all,
            expects=expects,
        )

    async def answer(
        self, *parts: bytes, status: int = 200, headers: Sequence[Header] = ()
    ) -> None:
        send = self.exchange.send
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for part in parts[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": parts[-1] if parts else b""})

    def read(self) -> tuple[HTTPResponse, bytes, bytes]:
        """Return the answer, its body and what stands behind it, as another library reads them."""
        file = BytesIO(b"".join(self.transport.sent))

        class Socket:
            def makefile(self, _mode: str) -> BytesIO:
                return file

        response = HTTPResponse(cast(Any, Socket()), method=self.method)
        response.begin()
        body = response.read()
        return response, body, b"" if file.closed else file.read()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


# --- the answer ------------------------------------------------------------------------------

bodies = st.lists(st.binary(max_size=5) | st.just(b"x" * (JOINED_BYTES_MAX + 1)), max_size=4)


@given(
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from(["1.0", "1.1"]),
    st.sampled_from([200, 204, 304, 404, 503]),
    bodies,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_every_answer_is_read_as_it_was_given_and_says_whether_another_may_follow(
    method: str,
    version: str,
    status: int,
    parts: list[bytes],
    has_length: bool,
    keeps: bool,
    has_all: bool,
) -> None:
    case = Case(method, version, keeps=keeps, has_all=has_all)
    has_body = method != "HEAD" and status not in {204, 304}
    length = [(b"content-length", b"%d" % len(b"".join(parts)))] if has_length else []
    asyncio.run(case.answer(*parts, status=status, headers=[(b"x-a", b"b"), *length]))
    response, body, behind = case.read()
    assert (response.status, response.getheader("x-a")) == (status, "b")
    assert body == (b"".join(parts) if has_body else b"")
    assert behind == b""
    # Framed by the end of the connection where the client knows no chunks.
    is_until_end = has_body and version == "1.0" and not has_length and len(parts) > 1
    assert case.exchange.keeps == (keeps and has_all and not is_until_end)
    said = (response.getheader("connection") or "").lower()
    if version == "1.0":
        assert said == ("keep-alive" if case.exchange.keeps else "close")
    else:
        assert said == ("" if case.exchange.keeps else "close")
    assert case.exchange.is_answered
    assert case.finished == [case.exchange]


def test_an_answer_by_hand() -> None:
    case = Case()
    asyncio.run(case.answer(b"{}", headers=[(b"a", b"b")]))
    assert b"".join(case.transport.sent) == (
        b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 2\r\n" + DATE + b"\r\n{}"
    )


def test_chunks_by_hand() -> None:
    case = Case()
    asyncio.run(case.answer(b"ab", b"", b"c" * 16, headers=[(b"a", b"b")]))
    assert b"".join(case.transport.sent).endswith(
        DATE + b"\r\n2\r\nab\r\n10\r\n" + b"c" * 16 + b"\r\n0\r\n\r\n"
    )


def test_an_answer_without_any_header_of_its_own_is_one() -> None:
    for status, method in ((204, "GET"), (200, "HEAD")):
        case = Case(method)
        asyncio.run(case.answer(status=status))
        response, body, behind = case.read()
        assert (response.status, body, behind) == (status, b"", b"")
        assert response.getheader("date") is not None


def test_an_application_that_closes_is_not_kept_and_says_so_once() -> None:
    case = Case()
    asyncio.run(case.answer(b"{}", headers=[(b"connection", b"close")]))
    assert not case.exchange.keeps
    assert b"".join(case.transport.sent).count(b"connection: close") == 1


def test_what_is_long_is_not_copied() -> None:
    case, long = Case(), b"x" * (JOINED_BYTES_MAX + 1)
    asyncio.run(case.answer(long, headers=[(b"a", b"b")]))
    assert any(part is long for part in case.transport.sent)


@pytest.mark.parametrize(("told", "parts"), [(3, (b"ab",)), (1, (b"ab",)), (1, (b"a", b"b"))])
def test_a_body_of_another_length_than_was_told_is_a_mistake_of_ours(
    told: int, parts: tuple[bytes, ...]
) -> None:
    """The next answer would be read as a part of it."""
    with pytest.raises(AssertionError, match="not of the length that was told"):
        asyncio.run(Case().answer(*parts, headers=[(b"content-length", b"%d" % told)]))


def test_to_a_connection_that_is_lost_nothing_is_sent_and_the_exchange_ends() -> None:
    case = Case()
    case.wire.lose()
    asyncio.run(case.answer(b"a", b"b"))
    assert case.transport.sent == []
    assert case.finished == [case.exchange]


@given(
    st.lists(
        st.tuples(st.binary(max_size=6) | st.just(b"a\r\nb: c"), st.binary(max_size=6)), max_size=4
    )
)
def test_no_header_begins_another(headers: list[Header]) -> None:
    if any(end in part for header in headers for part in header for end in (b"\r", b"\n")):
        with pytest.raises(ValueError, match="a line end in a header"):
            head_of(200, headers, DATE)
    else:
        lines = head_of(200, headers, DATE).split(b"\r\n")
        expected = [name + b": " + value for name, value in headers]
        assert lines == [b"HTTP/1.1 200 OK", *expected, DATE.rstrip(), b"", b""]


def test_every_status_has_its_line() -> None:
    assert STATUS_LINES[431] == b"HTTP/1.1 431 Request Header Fields Too Large\r\n"


# --- the request -----------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=5), max_size=6), st.lists(st.booleans()))
def test_a_body_is_given_whole_and_in_order_however_it_comes(
    pieces: list[bytes], reads: list[bool]
) -> None:
    """`reads`: whether somebody asks before the next piece has come."""

    async def scenario() -> None:
        case = Case("POST", has_all=False)
        got: list[bytes] = []

        async def ask() -> bool:
            message = await case.exchange.receive()
            assert message["type"] == "http.request"
            got.append(message["body"])
            return bool(message["more_body"])

        for at, piece in enumerate(pieces):
            case.exchange.take(piece)
            if at < len(reads) and reads[at]:
                assert await ask()
        asking = asyncio.create_task(ask())
        case.exchange.complete()
        while await asking:
            asking = asyncio.create_task(ask())
        assert b"".join(got) == b"".join(pieces)

    run(scenario())


def test_behind_the_body_a_client_is_gone_only_once_it_is() -> None:
    async def scenario() -> None:
        case = Case(has_all=True)
        assert await case.exchange.receive() == {
            "type": "http.request",
            "body": b"",
            "more_body": False,
        }
        asking = asyncio.create_task(case.exchange.receive())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not asking.done()
        case.exchange.break_off()
        assert await asking == {"type": "http.disconnect"}

    run(scenario())


@pytest.mark.parametrize("how", ["broken off", "lost", "answered"])
def test_who_waits_for_a_body_that_does_not_come_is_told(how: str) -> None:
    async def scenario() -> None:
        case = Case("POST", has_all=False)
        asking = asyncio.create_task(case.exchange.receive())
        await asyncio.sleep(0)
        match how:
            case "broken off":
                case.exchange.break_off()
            case "lost":
                case.wire.lose()
                case.exchange.break_off()
            case _:
                await case.answer(b"no", headers=[(b"a", b"b")])
        assert await asking == {"type": "http.disconnect"}

    run(scenario())


def test_what_came_before_the_client_went_is_given_first() -> None:
    async def scenario() -> None:
        case = Case("POST", has_all=False)
        case.exchange.take(b"ab")
        case.exchange.break_off()
        assert (await case.exchange.receive())["body"] == b"ab"
        assert await case.exchange.receive() == {"type": "http.disconnect"}

    run(scenario())


def continued(case: Case) -> int:
    return b"".join(case.transport.sent).count(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_a_client_that_waits_to_be_told_is_told_once_and_only_if_somebody_reads() -> None:
    async def scenario() -> None:
        case = Case("POST", has_all=False, expects=True)
        assert continued(case) == 0
        asking = asyncio.create_task(case.exchange.receive())
        await until(lambda: continued(case))
        case.exchange.take(b"a")
        await asking
        asking = asyncio.create_task(case.exchange.receive())
        await asyncio.sleep(0)
        case.exchange.complete()
        await asking
        assert continued(case) == 1

    run(scenario())


def test_behind_the_head_of_an_answer_nobody_is_told_to_go_on() -> None:
    async def scenario() -> None:
        case = Case("POST", has_all=False, expects=True)
        send = case.exchange.send
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        asking = asyncio.create_task(case.exchange.receive())
        await asyncio.sleep(0)
        assert continued(case) == 0
        case.exchange.complete()
        await asking

    run(scenario())


def test_a_body_that_nobody_reads_stays_with_the_client() -> None:
    async def scenario() -> None:
        case = Case("POST", has_all=False)
        reads = []
        for piece in (b"x" * BODY_BYTES_AHEAD, b"x"):
            case.exchange.take(piece)
            reads.append(case.transport.reads)
        assert reads == [True, False]
        await case.exchange.receive()
        asking = asyncio.create_task(case.exchange.receive())
        await until(lambda: case.transport.reads)
        case.exchange.complete()
        assert not (await asking)["more_body"]

    run(scenario())


# --- the wire --------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["resume", "lose"])
def test_who_sends_waits_until_the_client_takes_or_is_gone(ends: str) -> None:
    async def scenario() -> None:
        case = Case()
        case.wire.pause()
        assert case.wire.is_paused
        sending = asyncio.create_task(case.answer(b"a", b"b", headers=[(b"a", b"b")]))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not sending.done()
        assert not case.exchange.is_answered
        getattr(case.wire, ends)()
        await sending
        assert case.exchange.is_answered

    run(scenario())


@pytest.mark.parametrize("why", ["end", "closing"])
def test_of_a_client_that_sends_nothing_more_nothing_is_read(why: str) -> None:
    case = Case()
    if why == "end":
        case.wire.reach_end()
    else:
        case.transport.is_closed = True
    case.wire.read(False)
    assert case.transport.reads


def test_reading_is_turned_on_and_off_once_however_often_that_is_asked() -> None:
    case = Case()
    for on in (True, False, False, True, True):
        case.wire.read(on)
        assert case.transport.reads == on
