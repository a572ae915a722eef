"""The loggers of a pod, the ids of a request as they come, and what is told of it at its end.

Over HTTP and over gRPC it is told alike, so that one search and one alarm see both.
"""

import logging
from collections.abc import Iterable
from secrets import token_hex
from typing import Any, Final, NamedTuple

from api.web.metrics import ApiMetrics
from infra.process import spans
from infra.process.card_numbers import has_card_number
from infra.process.log_lines import Correlation
from infra.process.record_ids import CORRELATION_ID, TRACE_CONTEXT

CORRELATION_HEADER: Final = b"x-correlation-id"
TRACEPARENT_HEADER: Final = b"traceparent"

_QUIET: Final = frozenset({"availability", "health"})
_SERVERS_FAULT: Final = 500

log: Final = logging.getLogger("seatstream.api")
access: Final = logging.getLogger("seatstream.api.access")


def correlation_of(headers: Iterable[tuple[bytes, bytes]]) -> Correlation:
    """Return a request's ids; headers are lower-case names and values, as ASGI gives them."""
    correlation_id = traceparent = b""
    for name, value in headers:
        if name == CORRELATION_HEADER and CORRELATION_ID.fullmatch(value):
            correlation_id = value
        elif name == TRACEPARENT_HEADER and TRACE_CONTEXT.fullmatch(value):
            traceparent = value
    return Correlation(correlation_id.decode() or token_hex(8), traceparent.decode())


class Ended(NamedTuple):
    """A request that was answered.

    route:   which of those that there are; "unknown" for none. asked: the path as it was sent.
    method:  of HTTP; gRPC over gRPC. status: of HTTP; code: gRPC's own, empty over HTTP.
    seconds: from its arrival on. is_stream: as long as its client wants, and so no measure.
    client:  its address. user: who asks, None where nobody knows. reason: of its refusal.
    """

    route: str
    method: str
    asked: str
    status: int
    seconds: float
    client: str
    correlation: Correlation
    user: str | None
    reason: str
    code: str = ""
    is_stream: bool = False


def tell(metrics: ApiMetrics, ended: Ended) -> None:
    """Count a request that was answered, tell its span and, where it cost something, the log."""
    metrics.requests.labels(ended.route, str(ended.status)).inc()
    if not ended.is_stream:
        metrics.request_seconds.labels(ended.route).observe(ended.seconds)
    if ended.reason:
        metrics.problems.labels(ended.reason).inc()
    code = (("rpc.grpc.status", ended.code),) if ended.code else ()
    spans.tell(
        f"{ended.method} {ended.route}",
        spans.Kind.SERVER,
        ended.correlation.traceparent,
        ended.seconds,
        (
            ("http.response.status_code", str(ended.status)),
            *code,
            ("seatstream.correlation_id", ended.correlation.id),
        ),
        is_error=ended.status >= _SERVERS_FAULT,
    )
    # Look-ups from memory come by the ten thousand a second: metrics tell of them.
    if ended.route not in _QUIET or ended.status >= 400:
        access.info("%s", ended.route, extra={"fields": _fields(ended)})


def _fields(ended: Ended) -> dict[str, Any]:
    path = ended.asked
    if ended.route == "unknown" and has_card_number(path):
        # In a path that is ours, digits are ids.
        path = "(the number of a card)"
    fields = {
        "method": ended.method,
        "path": path,
        "status": ended.status,
        "ms": round(1000 * ended.seconds, 1),
        "client": ended.client,
        "correlation_id": ended.correlation.id,
    }
    told = {"code": ended.code, "user": ended.user, "reason": ended.reason}
    return fields | {name: value for name, value in told.items() if value}
