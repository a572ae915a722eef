"""What a process does for a traced request, told to a collector: OTLP over HTTP, as JSON.

A span is told where a caller's `traceparent` says that the trace is recorded, as a child of the
caller's. Whoever does the work never waits: spans go to a thread, which sends them once a second.
What a collector does not take is dropped, as are spans beyond `WAITING_MAX`: no trace is worth a
sale.
"""

import atexit
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from enum import IntEnum
from http.client import HTTPException
from secrets import token_hex
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
SERVICE_NAME: Final = "OTEL_SERVICE_NAME"

WAITING_MAX: Final = 4_096
BATCH: Final = 512
EVERY_S: Final = 1.0
POST_S: Final = 5.0
CLOSE_S: Final = 2.0
_PATH: Final = "/v1/traces"
_SAMPLED: Final = 1
_ERROR: Final = 2

log: Final = logging.getLogger("seatstream.spans")


class _Stays(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: the headers have tokens that are for the collector alone."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER: Final = urllib.request.build_opener(_Stays)


class Kind(IntEnum):
    """What a span is of, by OTLP's numbers."""

    SERVER = 2
    CLIENT = 3
    CONSUMER = 5


class Span(NamedTuple):
    """One thing that was done; began_ns, ended_ns: Unix ns.

    trace_id, parent_id: 32 and 16 hex digits.
    """

    name: str
    kind: Kind
    trace_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    attributes: tuple[tuple[str, str], ...] = ()
    is_error: bool = False


class Spans:
    """Sends spans of one process to a collector.

    url: that traces are posted to. headers: of each post. service: the name of the process.
    dropped: how many spans nobody got.
    """

    def __init__(self, url: str, headers: Mapping[str, str], service: str) -> None:
        self.dropped = 0
        self._url = url
        self._headers = {**headers, "Content-Type": "application/json"}
        self._service = service
        self._waiting: deque[Span] = deque()
        self._wake = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def add(self, span: Span) -> None:
        """Have a span sent; never waits."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        self._waiting.append(span)
        if len(self._waiting) >= BATCH:
            self._wake.set()

    def close(self) -> None:
        """Send what waits, for a moment at most."""
        self._is_closing = True
        self._wake.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while not self._is_closing:
            self._wake.wait(EVERY_S)
            self._wake.clear()
            while self._waiting:
                self._send(
                    [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                )

    def _send(self, spans: Sequence[Span]) -> None:
        try:
            body = json.dumps(message(spans, self._service)).encode()
            request = urllib.request.Request(self._url, body, self._headers)  # noqa: S310 (ours)
            with _OPENER.open(request, timeout=POST_S) as answer:
                answer.read()
        except (OSError, HTTPException) as error:
            self.dropped += len(spans)
            log.warning("%d spans were not taken, %d in all: %s", len(spans), self.dropped, error)
        except Exception:
            # The thread goes on: nobody else would tell of the spans that come later.
            self.dropped += len(spans)
            log.exception("%d spans could not be sent, %d in all", len(spans), self.dropped)


def message(spans: Sequence[Span], service: str) -> dict[str, Any]:
    """Return spans as an ExportTraceServiceRequest, in OTLP's form of JSON."""
    resource = {"attributes": _attributes((("service.name", service),))}
    told = [
        {
            "traceId": one.trace_id,
            "spanId": token_hex(8),
            "parentSpanId": one.parent_id,
            "name": one.name,
            "kind": int(one.kind),
            "startTimeUnixNano": str(one.began_ns),
            "endTimeUnixNano": str(one.ended_ns),
            "attributes": _attributes(one.attributes),
            "status": {"code": _ERROR} if one.is_error else {},
        }
        for one in spans
    ]
    scope = {"scope": {"name": "seatstream"}, "spans": told}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}


def _attributes(pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in pairs]


def a_collector(text: str) -> str:
    """Parse the address of a collector; return where traces are posted to."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError("no http:// or https:// address without a user")
    return text.rstrip("/") + _PATH


def header_lines(text: str) -> tuple[tuple[str, str], ...]:
    """Parse `name=value` pairs with commas between; values may be percent-encoded."""
    pairs = [part.strip().partition("=") for part in text.split(",")]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise ValueError("use name=value, and commas between")
    found = tuple((name.strip(), unquote(value.strip())) for name, _, value in pairs)
    if any(not each.isprintable() or not each.isascii() for pair in found for each in pair):
        raise ValueError("headers are printable ASCII")
    return found


_told_to: list[Spans] = []


def configure(url: str, headers: Sequence[tuple[str, str]], service: str) -> None:
    """Have spans of this process sent from now on; url: empty for none."""
    _told_to.clear()
    if url:
        spans = Spans(url, dict(headers), service)
        atexit.register(spans.close)
        _told_to.append(spans)


def is_on() -> bool:
    """Say whether anybody is told."""
    return bool(_told_to)


def tell(
    name: str,
    kind: Kind,
    traceparent: str,
    took_s: float,
    attributes: tuple[tuple[str, str], ...] = (),
    *,
    is_error: bool = False,
) -> None:
    """Tell of what has ended just now, where a collector wants to hear of its trace.

    traceparent: well formed, or empty. took_s: how long it took.
    """
    if not _told_to or not traceparent:
        return
    _, trace_id, parent_id, flags = traceparent.split("-")
    if int(flags, 16) & _SAMPLED:
        now_ns = time.time_ns()
        began_ns = now_ns - int(took_s * 1e9)
        span = Span(name, kind, trace_id, parent_id, began_ns, now_ns, attributes, is_error)
        _told_to[0].add(span)
