"""What an event is known by, as its headers say; and the headers of what it causes."""

from __future__ import annotations

import re
from typing import Final

from infra.process.record_ids import CORRELATION, CORRELATION_ID, followed
from serdes.decoding import BAD_RECORD_HEADERS, Undecodable, refusal_of
from streams.batch import Batch, Record
from streams.working.inbox import Event

EVENT_ID: Final = "event-id"
EVENT_TYPE: Final = "event-type"
TIMESTAMP: Final = "timestamp"
SOURCE: Final = "source"
VERSION: Final = "version"

METADATA_VERSION: Final = b"1.0.0"

_ID: Final = re.compile(rb"[!-~]{1,200}")
_TYPE: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_RULES: Final = {EVENT_ID: _ID, EVENT_TYPE: _TYPE, CORRELATION: CORRELATION_ID}


def by_headers(batch: Batch, record: Record) -> Event | Undecodable | None:
    """Return the event of a record whose headers tell it; None for a record without a value.

    One without an event id is known by its place in the log. Headers that are there and not well
    formed, or that contradict each other, say nothing that could be believed: Undecodable.
    """
    headers = record.headers or ()
    if refusal := refusal_of(headers):
        return Undecodable(BAD_RECORD_HEADERS, refusal)
    if record.value is None:
        return None
    told: dict[str, bytes] = {}
    for name, content in headers:
        rule = _RULES.get(name)
        if rule is None:
            continue
        if not rule.fullmatch(content or b"") or told.setdefault(name, content) != content:
            return Undecodable(BAD_RECORD_HEADERS, f"{name}: {content!r:.100}")
    event_id = told.get(EVENT_ID, b"%s:%d:%d" % (
        batch.topic.encode(), batch.partition, record.offset,
    ))  # fmt: skip
    return Event(
        event_id.decode(), told.get(CORRELATION, b"").decode(), told.get(EVENT_TYPE, b"").decode()
    )


def headers_of_caused(
    cause: Record, event: Event, event_id: str, event_type: str, source: str, now_ms: int
) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of an event that another one causes.

    event: the cause's. event_id: of the new one. source: who publishes it. now_ms: Unix ms.
    """
    ids = dict(followed(cause.headers or ()))
    if event.correlation_id:
        ids[CORRELATION] = event.correlation_id.encode()
    return (
        (EVENT_ID, event_id.encode()),
        *((EVENT_TYPE, event_type.encode()) for _ in event_type[:1]),
        *ids.items(),
        (TIMESTAMP, b"%d" % now_ms),
        (SOURCE, source.encode()),
        (VERSION, METADATA_VERSION),
    )
