"""The ids that follow a request, as headers of Kafka records: ours to write, strangers' to read.

A record that another one causes carries on what `followed` finds in its cause. Whatever is not
well formed is left where it lies, and goes no further.
"""

import re
from collections.abc import Sequence
from typing import Final

from infra.process.log_lines import NONE, Correlation

Headers = Sequence[tuple[str, bytes]]
"""Of a record: names and values. A stranger's header may have None for a value."""

CORRELATION: Final = "correlation-id"
TRACEPARENT: Final = "traceparent"

CORRELATION_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# W3C Trace Context, version 00; an id of zeros only is none.
TRACE_CONTEXT: Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_is_id: Final = CORRELATION_ID.fullmatch
_is_trace: Final = TRACE_CONTEXT.fullmatch


def record_headers(correlation: Correlation) -> tuple[tuple[str, bytes], ...]:
    """Return the headers by which a record is followed."""
    headers = [(CORRELATION, correlation.id.encode())]
    if correlation.traceparent:
        headers.append((TRACEPARENT, correlation.traceparent.encode()))
    return tuple(headers)


def followed(headers: Headers) -> Headers:
    """Return those headers that go on to whatever a record causes; of each name the first good.

    They are copied only where others stand among them.
    """
    correlation = trace = None
    for header in headers:
        name = header[0]
        if name == CORRELATION:
            if correlation is None and _is_id(header[1] or b""):
                correlation = header
        elif name == TRACEPARENT and trace is None and _is_trace(header[1] or b""):
            trace = header
    found = (correlation is not None) + (trace is not None)
    if found == len(headers):
        return headers
    return tuple(header for header in (correlation, trace) if header is not None)


def correlation_in(headers: Headers) -> Correlation:
    """Return the ids of a record, for log lines about it."""
    told = dict(followed(headers)) if headers else {}
    if not told:
        return NONE
    return Correlation(told.get(CORRELATION, b"").decode(), told.get(TRACEPARENT, b"").decode())
