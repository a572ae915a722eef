"""The loggers of a pod, and the ids of a request as they come in its headers."""

import logging
from collections.abc import Iterable
from secrets import token_hex
from typing import Final

from infra.process.log_lines import Correlation
from infra.process.record_ids import CORRELATION_ID, TRACE_CONTEXT

CORRELATION_HEADER: Final = b"x-correlation-id"
TRACEPARENT_HEADER: Final = b"traceparent"

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
