"""What an event is known by, as its headers say; and the headers of what it causes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from infra.process.record_ids import CORRELATION, CORRELATION_ID, Headers, followed
from serdes.decoding import (
    BAD_RECORD_HEADERS,
    Decoded,
    TopicDecoder,
    Undecodable,
    refusal_of,
)
from streams.batch import Batch, Record
from streams.folding.reading import told
from streams.working.inbox import Event

EVENT_ID: Final = "event-id"
EVENT_TYPE: Final = "event-type"
TIMESTAMP: Final = "timestamp"
SOURCE: Final = "source"
VERSION: Final = "version"

METADATA_VERSION: Final = b"1.0.0"

BAD_EVENT_ID: Final = "BAD_EVENT_ID"
_AT: Final = "at "
_ID: Final = re.compile(rb"[!-~]{1,200}")
_TYPE: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_RULES: Final = {EVENT_ID: _ID, EVENT_TYPE: _TYPE, CORRELATION: CORRELATION_ID}


Identify = Callable[[Batch, Record], Event | Undecodable | None]
"""What a record is known by; None for one that this worker has nothing to do with.

Raises UnknownSchema or NewerProducer; it is asked before anything of a batch is decided.
"""


def by_headers(batch: Batch, record: Record) -> Event | Undecodable | None:
    """Return the event of a record whose headers tell it; None for a record without a value.

    One without an event id is known by its place in the log, in words that no header may be.
    Headers that are there and not well formed, or that contradict each other, say nothing that
    could be believed: Undecodable.
    """
    headers = record.headers or ()
    if refusal := refusal_of(headers):
        return Undecodable(BAD_RECORD_HEADERS, refusal)
    if record.value is None:
        return None
    found: dict[str, bytes] = {}
    for name, content in headers:
        rule = _RULES.get(name)
        if rule is None:
            continue
        if not rule.fullmatch(content or b"") or found.setdefault(name, content) != content:
            return Undecodable(BAD_RECORD_HEADERS, f"{name}: {content!r:.100}")
    by_id = found[EVENT_ID].decode() if EVENT_ID in found else place_of(batch, record)
    step = found.get(CORRELATION, b""), found.get(EVENT_TYPE, b"")
    return Event(by_id, *(text.decode() for text in step))


def place_of(batch: Batch, record: Record) -> str:
    """Return what an event without an id is known by.

    No id in a header has a space: nobody names beforehand the place of somebody else's record.
    """
    return f"{_AT}{batch.topic}:{batch.partition}:{record.offset}"


def known(identify: Identify, batch: Batch, record: Record) -> Event | Undecodable | None:
    """Return what a record is known by; Undecodable where it claims the place of another."""
    event = identify(batch, record)
    if isinstance(event, Event) and event.id.startswith(_AT):
        own = place_of(batch, record)
        if event.id != own:
            return Undecodable(BAD_EVENT_ID, f"{event.id:.100} lies at {own[len(_AT) :]}")
    return event


def by_content(
    decoder: TopicDecoder,
    known_by: Callable[[Batch, Record, Decoded, Event], Event | Undecodable | None],
) -> Identify:
    """Return what identifies events that are Avro records, by all that is known of a record.

    known_by: returns the event of what a record says, which its headers tell so far; Undecodable
              for a contradiction; None for a record that this worker has nothing to do with.
    """

    def identify(batch: Batch, record: Record) -> Event | Undecodable | None:
        event = by_headers(batch, record)
        if not isinstance(event, Event):
            return event
        said = told(decoder, batch, record)
        return known_by(batch, record, said, event) if isinstance(said, Decoded) else said

    return identify


def by_record(
    decoder: TopicDecoder, known_by: Callable[[Decoded, Event], Event | None]
) -> Identify:
    """Return what identifies events by what their records say, as `by_content`."""
    return by_content(decoder, lambda _batch, _record, said, event: known_by(said, event))


def headers_of_caused(
    cause: Record, event: Event, event_id: str, event_type: str, source: str, now_ms: int
) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of an event that another one causes.

    event: the cause's. event_id: of the new one. source: who publishes it. now_ms: Unix ms.
    """
    ids = dict(followed(cause.headers or ()))
    if event.correlation_id:
        ids[CORRELATION] = event.correlation_id.encode()
    return headers_of_event(event_id, event_type, tuple(ids.items()), source, now_ms)


def headers_of_event(
    event_id: str, event_type: str, ids: Headers, source: str, now_ms: int
) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of a new event; ids: those of its cause that go on."""
    return (
        (EVENT_ID, event_id.encode()),
        *((EVENT_TYPE, event_type.encode()) for _ in event_type[:1]),
        *ids,
        (TIMESTAMP, b"%d" % now_ms),
        (SOURCE, source.encode()),
        (VERSION, METADATA_VERSION),
    )
