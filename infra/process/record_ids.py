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
_RULES: Final = {CORRELATION: CORRELATION_ID, TRACEPARENT: TRACE_CONTEXT}


def record_headers(correlation: Correlation) -> tuple[tuple[str, bytes], ...]:
    """Return the headers by which a record is followed."""
    headers = [(CORRELATION, correlation.id.encode())]
    if correlation.traceparent:
        headers.append((TRACEPARENT, correlation.traceparent.encode()))
    return tuple(headers)


def followed(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    """Return those headers that go on to whatever a record causes; of each name the first good."""
    found: dict[str, tuple[str, bytes]] = {}
    for header in headers:
        rule = _RULES.get(header[0])
        if rule is not None and header[0] not in found and rule.fullmatch(header[1] or b""):
            found[header[0]] = header
    return tuple(found.values())


def correlation_in(headers: Headers) -> Correlation:
    """Return the ids of a record, for log lines about it."""
    told = dict(followed(headers)) if headers else {}
    if not told:
        return NONE
    return Correlation(told.get(CORRELATION, b"").decode(), told.get(TRACEPARENT, b"").decode())
