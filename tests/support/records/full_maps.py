"""What an old release wrote to section-status: every seat of a section with its status.

The schema is the one of the document that asked for slim statuses; some 20 bytes a seat.
"""

import io
import json
from collections.abc import Mapping
from typing import Any

import fastavro

from scripts.auditing.oracle.seats import Place
from scripts.history.timeline import Seat, Use
from serdes.registry.client import Registry
from serdes.wire import HEADER_BYTES, header_of

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "SectionSeatState",
    "namespace": "com.example.ticketmaster.avro",
    "fields": [
        {"name": "eventId", "type": "long"},
        {"name": "section", "type": "string"},
        {"name": "availableCount", "type": "int"},
        {"name": "version", "type": "long"},
        {"name": "seatStatuses", "type": {"type": "map", "values": "string"}},
    ],
}
_PARSED = fastavro.parse_schema(SCHEMA)

FREE = "AVAILABLE"
HELD = "RESERVED"
SOLD = "SOLD"
_WORDS = {Use.FREE: FREE, Use.HELD: HELD}


def registered(registry: Registry) -> int:
    """Return the id of the old schema, under the subject that the old release had."""
    told = registry.call(
        "POST", "subjects/section-status-value/versions", {"schema": json.dumps(SCHEMA)}
    )
    return int(told["id"])


def full_map(
    schema_id: int, event_id: int, section: str, version: int, seats: Mapping[Place, Seat]
) -> bytes:
    """Return the value of a record of the old release."""
    statuses = {f"R{row:03d}-S{seat:04d}": _word(one) for (row, seat), one in seats.items()}
    body = io.BytesIO()
    told = {
        "eventId": event_id,
        "section": section,
        "availableCount": [*statuses.values()].count(FREE),
        "version": version,
        "seatStatuses": statuses,
    }
    fastavro.schemaless_writer(body, _PARSED, told)
    return header_of(schema_id) + body.getvalue()


def told_in(value: bytes) -> dict[str, Any]:
    """Return what a record of the old release says."""
    found: Any = fastavro.schemaless_reader(io.BytesIO(value[HEADER_BYTES:]), _PARSED, None)
    return dict(found)


def _word(seat: Seat) -> str:
    return _WORDS.get(seat.use, SOLD)
