"""One request and its answer: ASGI messages on one side, bytes of HTTP/1.1 on the other."""

import asyncio
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

from api.web.requests import Message, Scope

Header = tuple[bytes, bytes]

BODY_BYTES_AHEAD: Final = 65_536
"""So much of a body is read before anybody asks for it."""

JOINED_BYTES_MAX: Final = 16_384
"""What is longer is not copied: event streams send one and the same bytes to thousands."""

STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHUNKED: Final = (b"transfer-encoding", b"chunked")
_CLOSE: Final = (b"connection", b"close")
_KEEP: Final = (b"connection", b"keep-alive")


class Wire:
    """The flow of bytes of one connection: sends, and waits where the client does not read.

    is_lost:   nothing can be sent any more.
    is_paused: so much waits for the client that nothing more may be sent.
    """

    __slots__ = ("_has_end", "_may_write", "_reads", "is_lost", "is_paused", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.is_lost = self.is_paused = False
        self._may_write: asyncio.Event | None = None
        self._reads = True
        self._has_end = False

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False
        if self._may_write is not None:
            self._may_write.set()

    def lose(self) -> None:
        self.is_lost = True
        self.resume()

    async def until_taken(self) -> None:
        """Return as soon as the client has room for more, or is gone."""
        while self.is_paused and not self.is_lost:
            if self._may_write is None:
                self._may_write = asyncio.Event()
            self._may_write.clear()
            await self._may_write.wait()

    def reach_end(self) -> None:
        """Note that the client sends nothing more: there is nothing to read."""
        self._has_end = True

    def read(self, on: bool) -> None:
        """Read on, or leave what comes to the kernel, which slows the client down."""
        if on is self._reads or self._has_end or self.transport.is_closing():
            return
        self._reads = on
        if on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()


class Exchange:
    """One request: what came of its body, and how far its answer is.

    has_all:     the body has come whole.
    keeps:       the connection may serve another request afterwards.
    has_begun:   the head of the answer was sent.
    is_answered: the answer was sent whole.
    """

    __slots__ = (
        "_body",
        "_changed",
        "_date",
        "_expects",
        "_finished",
        "_has_told_all",
        "_is_broken",
        "_is_chunked",
        "_left",
        "_sends_body",
        "_start",
        "_wire",
        "has_all",
        "has_begun",
        "is_answered",
        "keeps",
        "scope",
    )

    def __init__(
        self,
        wire: Wire,
        scope: Scope,
        date: bytes,
        finished: Callable[["Exchange"], None],
        *,
        keeps: bool,
        has_all: bool,
        expects: bool,
    ) -> None:
        """Begin.

        date:    header line for the answer.
        expects: the client sends the body when it is told to.
        """
        self.scope = scope
        self.keeps = keeps
        self.has_all = has_all
        self.has_begun = self.is_answered = False
        self._wire = wire
        self._date = date
        self._finished = finished
        self._expects = expects
        self._body = bytearray()
        self._has_told_all = False
        self._is_broken = False
        self._changed: asyncio.Event | None = None
        self._start: Message | None = None
        self._is_chunked = False
        self._sends_body = True
        self._left: int | None = None

    # --- the request -------------------------------------------------------------------------

    def take(self, body: bytes) -> None:
        """Take in a part of the body."""
        self._body += body
        if len(self._body) > BODY_BYTES_AHEAD:
            self._wire.read(False)
        self._tell()

    def complete(self) -> None:
        """Note that the body has come whole."""
        self.has_all = True
        self._tell()

    def break_off(self) -> None:
        """Note that nothing more comes: the client is gone, or its body ends nowhere."""
        self._is_broken = True
        self._tell()

    async def receive(self) -> Message:
        """Return the next part of the body; behind it, that the client is gone, once it is."""
        while not self._body and (self.has_all is self._has_told_all):
            if self._is_broken or self.is_answered or self._wire.is_lost:
                return {"type": "http.disconnect"}
            if self._expects and not self.has_begun:
                self._wire.transport.write(_CONTINUE)
            self._expects = False
            if not self.has_all:
                self._wire.read(True)
            if self._changed is None:
                self._changed = asyncio.Event()
            self._changed.clear()
            await self._changed.wait()
        body = bytes(self._body)
        self._body.clear()
        self._has_told_all = self.has_all
        return {"type": "http.request", "body": body, "more_body": not self.has_all}

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set()

    # --- the answer --------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Send a part of the answer; returns when the client has room for the next."""
        if message["type"] == "http.response.start":
            assert self._start is None
            assert not self.has_begun
            self._start = message
            return
        assert not self.is_answered
        more = message.get("more_body", False)
        body: bytes = message.get("body", b"")
        parts = [] if self._start is None else [self._head(self._start, len(body), more=more)]
        parts += self._framed(body, more=more)
        if not self._wire.is_lost:
            if len(body) > JOINED_BYTES_MAX:
                self._wire.transport.writelines(parts)
            elif parts:
                self._wire.transport.write(b"".join(parts))
        if more:
            await self._wire.until_taken()
        else:
            self.is_answered = True
            self._tell()
            self._finished(self)

    def _head(self, start: Message, length: int, *, more: bool) -> bytes:
        """Return the head of the answer, and note how its body is framed."""
        self._start = None
        self.has_begun = True
        status: int = start["status"]
        headers: list[Header] = list(start.get("headers", ()))
        given = dict(headers)
        is_old = self.scope["http_version"] == "1.0"
        # What is left of the body would be read as the next request.
        self.keeps = self.keeps and self.has_all and given.get(b"connection") != b"close"
        if self.scope["method"] == "HEAD" or status in {204, 304}:
            self._sends_body = False
        elif b"content-length" in given:
            self._left = int(given[b"content-length"])
        elif not more:
            self._left = length
            headers.append((b"content-length", b"%d" % length))
        elif is_old:
            # Its end is the end of the connection.
            self.keeps = False
        else:
            self._is_chunked = True
            headers.append(_CHUNKED)
        if not self.keeps and b"connection" not in given:
            headers.append(_CLOSE)
        elif self.keeps and is_old:
            headers.append(_KEEP)
        return head_of(status, headers, self._date)

    def _framed(self, body: bytes, *, more: bool) -> list[bytes]:
        if not self._sends_body:
            return []
        if self._is_chunked:
            parts = [b"%x\r\n" % len(body), body, b"\r\n"] if body else []
            return parts if more else [*parts, b"0\r\n\r\n"]
        if self._left is not None:
            self._left -= len(body)
            assert self._left >= 0 if more else self._left == 0, "not of the length that was told"
        return [body]


def head_of(status: int, headers: Iterable[Header], date: bytes) -> bytes:
    """Return the head of an answer; ValueError for a header with a line end in it."""
    lines = list(map(b": ".join, headers))
    # Behind the others: an answer may have no header of its own.
    lines.append(date)
    block = b"\r\n".join(lines)
    if block.count(b"\n") > len(lines) or block.count(b"\r") > len(lines):
        raise ValueError("a line end in a header")
    return b"%b%b\r\n" % (STATUS_LINES[status], block)
