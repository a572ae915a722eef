"""One connection of a client: bytes in, requests out, in order and one at a time.

httptools says what the bytes mean, and is strict; what it lets through and others could read in
another way is refused here or in `api.http1.framing`. Whatever is refused goes through the
application like a request, with the problem in its scope, so that it is answered, counted and
logged as all others are. Then the connection ends: nobody knows where the next request begins.

The parser is given one head at a time, and of a body nothing behind its end, so that no client can
have more than one request waiting here.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, cast

import httptools

from api.http1.exchange import BODY_BYTES_AHEAD, Exchange, Header, Wire, head_of
from api.http1.framing import (
    CLOSE,
    HEAD_BYTES_MAX,
    METHOD,
    head_problem,
    head_too_large,
    line_too_long,
    malformed,
    scope_of,
    too_slow,
    transfer_problem,
)
from api.web.logs import CORRELATION_HEADER, TRACEPARENT_HEADER, log
from api.web.problems import Problem
from api.web.requests import TARGET_BYTES_MAX, Ask, Receive, Scope, Send
from state.domain.reasons import ApiReason

LINE_BYTES_MAX: Final = 60_000
"""Of the first line. Targets above 8 kB are refused by the application."""

AT_ONCE: Final = 16
"""Requests of one connection that are answered before other connections have their turn."""

KNOWN_MAX: Final = 1_024
KNOWN_BYTES_MAX: Final = 2_048
"""Heads of look-ups that are kept, and how large they may be: who asks again sends the same."""

HALF_CLOSED_S: Final = 15
"""For so long a client that has closed its sending half is believed to listen: longer than any
wait by default. A client that is gone altogether looks the same until something is sent to it."""

LINGER_S: Final = 5
"""For so long after its last answer we read what a client still sends, and throw it away. A
connection that is closed with bytes unread is reset, and the answer is lost with it."""

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Quick = Callable[[Scope], Ask | None]
"""Returns what answers a request at once, now and whenever the same comes again; or None."""

_END: Final = b"\r\n\r\n"
_VERSIONS: Final = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
# No protocol is offered to change to; the parser would take what follows for that protocol's.
_UPGRADE: Final = re.compile(rb"(?<=\r\n)upgrade(?=:)", re.IGNORECASE)
# All that counts of a head which is refused: whom the answer is for.
_WHO_ASKS: Final = frozenset({CORRELATION_HEADER, TRACEPARENT_HEADER, b"origin"})


class Service(Protocol):
    """What connections share; times are counted in ticks of a second.

    tick: the present one. date: header line. is_ending: no request after the present ones.
    quick: None where every request takes the long way.
    known: what answers a head that was understood before, by its bytes; few, and small.
    """

    application: ASGIApp
    quick: Quick | None
    known: dict[bytes, Ask]
    tick: int
    date: bytes
    is_ending: bool
    idle_s: int
    head_s: int

    def opened(self, connection: "Connection") -> bool:
        """Take a connection in; False for one too many."""
        ...

    def closed(self, connection: "Connection") -> None: ...

    def start(self, connection: "Connection", exchange: Exchange) -> None:
        """Have a request answered by `connection.answer`."""
        ...


class Connection(asyncio.Protocol):
    """See the module."""

    __slots__ = (
        "_buffer",
        "_client",
        "_exchange",
        "_half_closed_since",
        "_has_all",
        "_headers",
        "_is_in_head",
        "_is_over",
        "_is_put_off",
        "_keeps",
        "_left",
        "_parser",
        "_seen",
        "_server",
        "_service",
        "_since",
        "_taken_since",
        "_unsent",
        "_wire",
    )

    _wire: Wire
    _parser: httptools.HttpRequestParser

    def __init__(self, service: Service) -> None:
        self._service = service
        self._buffer = b""
        self._headers: list[Header] = []
        self._exchange: Exchange | None = None
        self._half_closed_since: int | None = None
        # Of the request that is being read: whether it is here whole, and how much of a body
        # whose length was told is not; None for chunks; whether another may follow.
        self._has_all = self._keeps = False
        self._left: int | None = None
        # In this order: a head has begun and is not here whole; what follows waits for its turn;
        # the last answer was given.
        self._is_in_head = self._is_put_off = self._is_over = False
        self._since = service.tick
        # At the last tick: bytes that were written and have not gone out; since when these have
        # not become fewer.
        self._unsent = 0
        self._taken_since = service.tick
        # Bytes of the buffer that were searched for the end of a head.
        self._seen = 0

    # --- what the transport tells --------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = Wire(cast(asyncio.Transport, transport))
        self._client = tuple(transport.get_extra_info("peername") or ())[:2] or None
        self._server = tuple(transport.get_extra_info("sockname") or ())[:2] or None
        self._parser = httptools.HttpRequestParser(self)
        if not self._service.opened(self):
            # We do not wait for the client to close: whoever floods us would keep each connection.
            self._half_closed_since = self._since
            self._refuse(
                Problem.of(
                    ApiReason.OVERLOADED,
                    "This pod has too many connections; ask another.",
                    headers=(CLOSE,),
                )
            )

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._buffer = self._buffer + data if self._buffer else data
        self._read_on()

    def eof_received(self) -> bool:
        """Answer what is owed to a client that sends nothing more; we close by ourselves."""
        self._half_closed_since = self._service.tick
        self._wire.reach_end()
        if self._exchange is None:
            self._end_if_done()
        elif not self._exchange.has_all:
            self._exchange.break_off()
        return True

    def pause_writing(self) -> None:
        self._taken_since = self._service.tick
        self._wire.pause()

    def resume_writing(self) -> None:
        self._wire.resume()
        self._read_on()
        self._end_if_done()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (any end is one)
        self._is_over = True
        self._wire.lose()
        self._service.closed(self)
        if self._exchange is not None:
            self._exchange.break_off()
        # The parser refers to us: without it nothing is left to the garbage collector.
        del self._parser

    # --- what the parser tells -----------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers behind chunks are nobody's headers.
        if self._exchange is None:
            self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        # Asked now, because behind the message the parser no longer knows.
        self._keeps = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        assert self._exchange is not None
        self._exchange.take(body)

    def on_message_complete(self) -> None:
        self._has_all = True

    # --- reading -------------------------------------------------------------------------------

    def _read_on(self) -> None:
        """Read what is here as far as it is its turn."""
        left = AT_ONCE
        while self._buffer and not self._is_put_off and not self._is_over:
            exchange = self._exchange
            if exchange is not None and not exchange.has_all:
                self._read_body(exchange)
                if not exchange.has_all:
                    return
            elif exchange is not None or self._wire.is_paused:
                # One answer after the other, and none for who does not read them.
                self._wire.read(len(self._buffer) < BODY_BYTES_AHEAD)
                return
            elif left <= 0:
                self._put_off()
                self._wire.read(False)
                return
            elif not self._read_head():
                break
            left -= 1
        if self._exchange is None and not self._is_put_off:
            self._wire.read(True)

    def _put_off(self) -> None:
        """Read on when others had their turn, and not from within an answer."""
        self._is_put_off = True
        asyncio.get_running_loop().call_soon(self._read_later)

    def _read_later(self) -> None:
        self._is_put_off = False
        self._wire.read(True)
        self._read_on()
        self._end_if_done()

    def _end_if_done(self) -> None:
        """End the connection of a client that sends nothing more and has all its answers."""
        is_busy = self._exchange is not None or self._is_put_off
        if self._half_closed_since is None or is_busy:
            return
        if self._is_over or not self._buffer:
            self._end()
        elif not self._wire.is_paused:
            self._refuse(malformed("Send the whole head."))

    def _read_head(self) -> bool:
        """Begin the next request; False where its head is not here whole."""
        data = self._buffer
        end = data.find(_END, max(0, self._seen - len(_END)))
        if end < 0 or end > HEAD_BYTES_MAX:
            self._wait_for_head(data)
            return False
        end += len(_END)
        head, self._buffer = (data, b"") if end == len(data) else (data[:end], data[end:])
        # Some clients send an empty line behind a body.
        head = head.removeprefix(b"\r\n")
        self._is_in_head = False
        self._seen = 0
        ask = self._service.known.get(head)
        if ask is not None and self._has_answered(ask):
            return True
        headers: list[Header] = []
        self._headers = headers
        line = head[: head.find(b"\r\n")]
        words = line.split(b" ")
        version = _VERSIONS.get(words[-1])
        self._has_all = False
        if len(line) > LINE_BYTES_MAX:
            self._refuse(line_too_long(LINE_BYTES_MAX), line)
        elif len(words) != 3 or version is None or not METHOD.fullmatch(words[0]):
            detail = "Send METHOD, target and HTTP/1.1, with a space between."
            self._refuse(malformed(detail), line)
        else:
            problem = self._parse(head) or head_problem(words[0], words[1], headers)
            if problem is None:
                self._begin(self._scope(words[0], words[1], version, headers), head)
            else:
                self._refuse(problem, line)
        return True

    def _wait_for_head(self, data: bytes) -> None:
        """Refuse a head that grows too large or can have no end; else note since when it comes."""
        if not self._is_in_head and data not in {b"\r", b"\r\n"}:
            self._is_in_head = True
            self._since = self._service.tick
        found = data.find(b"\r\n", 0, LINE_BYTES_MAX + 2)
        line = data[:found] if found >= 0 else b""
        if found < 0 and len(data) > LINE_BYTES_MAX + 1:
            self._refuse(line_too_long(LINE_BYTES_MAX), data[:LINE_BYTES_MAX])
        elif len(data) > HEAD_BYTES_MAX:
            self._refuse(head_too_large(), line)
        elif _BARE_LF.search(data, self._seen):
            self._refuse(malformed("End each line with CR LF."), line)
        else:
            self._seen = len(data)

    def _parse(self, head: bytes) -> Problem | None:
        try:
            self._parser.feed_data(
                _UPGRADE.sub(b"ignored", head) if _UPGRADE.search(head) else head
            )
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            return _unreadable(error, self._headers)
        return None

    def _begin(self, scope: Scope, head: bytes) -> None:
        """Have a request answered, at once if that can be."""
        service, version, headers = self._service, scope["http_version"], scope["headers"]
        if self._keeps and self._has_all and version == "1.1" and service.quick is not None:
            ask = service.quick(scope)
            if ask is not None and self._has_answered(ask):
                self._keep(ask, head, headers)
                return
        given = {} if self._has_all else dict(headers)
        length = given.get(b"content-length")
        self._left = None if length is None else int(length)
        expects = version == "1.1" and given.get(b"expect", b"").lower() == b"100-continue"
        self._start(scope, keeps=self._keeps and not service.is_ending, expects=expects)

    def _keep(self, ask: Ask, head: bytes, headers: list[Header]) -> None:
        """Have the same bytes mean the same again; they were understood in full."""
        known = self._service.known
        # Ids of their own never come again.
        if len(head) <= KNOWN_BYTES_MAX and not any(name in _WHO_ASKS for name, _ in headers):
            if len(known) >= KNOWN_MAX:
                known.clear()
            known[head] = ask

    def _scope(self, method: bytes, target: bytes, version: str, headers: list[Header]) -> Scope:
        return scope_of(method, target, version, headers, (self._client, self._server))

    def _has_answered(self, ask: Ask) -> bool:
        """Answer at once; False where that cannot be."""
        messages = None if self._service.is_ending else ask()
        if messages is None:
            return False
        start, end = messages
        body: bytes = end["body"]
        headers: list[Header] = start["headers"]
        status: int = start["status"]
        if status != 304:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        self._wire.transport.write(head_of(status, headers, self._service.date) + body)
        self._since = self._service.tick
        self._headers = []
        return True

    def _start(self, scope: Scope, *, keeps: bool, expects: bool) -> None:
        self._exchange = Exchange(
            self._wire,
            scope,
            self._service.date,
            self._answered,
            keeps=keeps,
            has_all=self._has_all,
            expects=expects,
        )
        self._service.start(self, self._exchange)

    def _read_body(self, exchange: Exchange) -> None:
        """Hand the parser what is here of a body, and nothing behind it."""
        data = self._buffer
        view = memoryview(data)
        begin = 0
        try:
            while begin < len(data) and not self._has_all:
                end = self._end_of_part(data, begin)
                if end == begin:
                    break
                self._parser.feed_data(view[begin:end])
                begin = end
        except httptools.HttpParserError:
            # The application learns of a body without an end, and answers.
            exchange.keeps = False
            self._is_over = True
            exchange.break_off()
            return
        self._buffer = data[begin:]
        if self._has_all:
            exchange.complete()

    def _end_of_part(self, data: bytes, begin: int) -> int:
        """Return up to where the body goes for certain."""
        if self._left is not None:
            end = min(begin + self._left, len(data))
            self._left -= end - begin
            return end
        # However chunks end, they end so: nothing behind it is the parser's yet.
        found = data.find(_END, begin)
        return found + len(_END) if found >= 0 else max(begin, len(data) - len(_END) + 1)

    # --- answering -----------------------------------------------------------------------------

    async def answer(self, exchange: Exchange) -> None:
        """Have the application answer."""
        try:
            await self._service.application(exchange.scope, exchange.receive, exchange.send)
        except Exception:  # noqa: BLE001  (one request's mistake is no other's)
            log.exception("an answer broke off")
        finally:
            if not exchange.is_answered:
                # Cut, so that nobody takes what was sent for the whole.
                self._exchange = None
                self.abort()

    def _answered(self, exchange: Exchange) -> None:
        self._exchange = None
        self._since = self._service.tick
        # Of the next request nothing is known yet.
        self._headers = []
        if not exchange.keeps or self._is_over or self._service.is_ending:
            self._end()
        elif self._buffer:
            self._put_off()
        else:
            self._wire.read(True)
            self._end_if_done()

    def _refuse(self, problem: Problem, line: bytes = b"") -> None:
        """Answer with a problem, as far as the request is known, and end the connection.

        line: the first of its head, as far as that is known.
        """
        words = line.split(b" ")
        method = words[0] if METHOD.fullmatch(words[0]) else b""
        target = words[1] if method and len(words) > 1 else b""
        headers = [pair for pair in self._headers if pair[0] in _WHO_ASKS]
        scope = self._scope(method, target[:TARGET_BYTES_MAX], "1.1", headers)
        scope["state"]["refusal"] = problem
        self._buffer = b""
        self._is_in_head = False
        self._is_over = self._has_all = True
        self._start(scope, keeps=False, expects=False)

    # --- ending --------------------------------------------------------------------------------

    def finish(self) -> None:
        """End after the answer under way, or now."""
        if self._exchange is None:
            self.close()
        else:
            self._exchange.keeps = False

    def _end(self) -> None:
        """Send nothing more, and let what the client still sends run dry."""
        self._is_over = True
        self._buffer = b""
        self._since = self._service.tick
        transport = self._wire.transport
        if self._half_closed_since is not None or self._wire.is_lost:
            transport.close()
            return
        self._wire.read(True)
        if not transport.is_closing():
            transport.write_eof()

    def close(self) -> None:
        """End as soon as what was answered has gone out."""
        self._is_over = True
        self._wire.transport.close()

    def abort(self) -> None:
        self._is_over = True
        self._wire.transport.abort()

    def look_after(self, tick: int) -> None:
        """End what takes too long; called at every tick."""
        unsent = self._wire.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent:
            self._taken_since = tick
        self._unsent = unsent
        is_paused = self._wire.is_paused
        # Where nothing more is written, or may be, the bytes that wait can only become fewer.
        if (is_paused or (unsent and self._is_over)) and (
            tick - self._taken_since > self._service.idle_s
        ):
            self.abort()
        elif self._exchange is not None:
            half_closed_since = self._half_closed_since
            if half_closed_since is not None and tick - half_closed_since > HALF_CLOSED_S:
                self._exchange.break_off()
        elif self._is_over:
            if unsent:
                # However slowly, the last answer is being taken.
                self._since = tick
            elif tick - self._since > LINGER_S:
                self.abort()
        elif self._is_in_head:
            if tick - self._since > self._service.head_s:
                self._refuse(too_slow(self._service.head_s))
        elif tick - self._since > self._service.idle_s and not is_paused:
            self.close()


def _unreadable(error: Exception, headers: list[Header]) -> Problem:
    """Return the problem of a head that the parser does not read."""
    if isinstance(error, httptools.HttpParserUpgrade | httptools.HttpParserInvalidMethodError):
        return Problem(
            501,
            ApiReason.METHOD_NOT_ALLOWED,
            "See the methods in the document of this pod.",
            headers=(CLOSE,),
        )
    return transfer_problem(headers) or malformed(
        "Send a head that can be read in one way: lines that end with CR LF and are not folded,"
        " names without spaces, and the end of the body once."
    )
