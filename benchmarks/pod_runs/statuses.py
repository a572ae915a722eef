"""Status records for the pods: the slim ones of ours, and the seat maps that they replaced.

The former status was a seat map: a map from the seat to its state, 20 bytes for each of 5,000
seats. Ours has the same fields as the slim record in front, so that a pod can be run on it;
what is behind them is read and not used, as it was there.
"""

import io
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Final

import fastavro

from schemas.topics import SECTION_STATUS
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds
from serdes.wire import HEADER_BYTES, header_of
from state.domain.keys import partition_of, section_key

SEATS: Final = 5_000
SEATS_PER_ROW: Final = 50
SLIM: Final = "io.seatstream.status.SectionStatusEvent"
MAP_TOPIC: Final = "benchmark-seat-maps"
MAP_SCHEMA_ID: Final = 1_000_003
"""Of no registry: only the benchmark's own pod reads the topic."""

_COUNTS: Final[list[dict[str, Any]]] = [
    {"name": "eventId", "type": "long"},
    {"name": "section", "type": "string"},
    {"name": "availableCount", "type": "int"},
    {"name": "timestamp", "type": "long"},
    {"name": "version", "type": "long"},
    {"name": "heldCount", "type": "int"},
    {"name": "largestBlock", "type": "int"},
]
_SEATS: Final[dict[str, Any]] = {
    "name": "seatStatuses",
    "type": {"type": "map", "values": "string"},
}


class Form(Enum):
    """What a status record is like."""

    SLIM = "slim"
    MAP = "map"

    @property
    def topic(self) -> str:
        return SECTION_STATUS.name if self is Form.SLIM else MAP_TOPIC


@cache
def _schema(*, whole: bool) -> Any:
    fields = [*_COUNTS, _SEATS] if whole else _COUNTS
    return fastavro.parse_schema({"type": "record", "name": "SectionSeatState", "fields": fields})


def seats(free: int) -> dict[str, str]:
    """Return the state of each seat, 20 bytes a seat on the wire; `free` of them are free."""
    return {
        f"R{number // SEATS_PER_ROW:03d}-S{number % SEATS_PER_ROW:03d}": (
            "AVAILABLE" if number < free else "ALLOCATED"
        )
        for number in range(SEATS)
    }


def seat_map_bytes(counts: tuple[Any, ...], seats_in_it: dict[str, str]) -> bytes:
    """Write a whole seat map, as its producer had to for every change."""
    return header_of(MAP_SCHEMA_ID) + _written({**_named(counts), "seatStatuses": seats_in_it})


def read_seat_map(value: bytes) -> dict[str, Any]:
    """Read a whole seat map, as every pod had to."""
    file = io.BytesIO(value)
    file.seek(HEADER_BYTES)
    record: Any = fastavro.schemaless_reader(file, _schema(whole=True), None)
    fields: dict[str, Any] = record
    return fields


def _named(counts: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip((field["name"] for field in _COUNTS), counts, strict=True))


def _written(record: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, _schema(whole="seatStatuses" in record), record)
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class Hall:
    """Events, numbered from 1, with equally many sections each; sections count through all."""

    events: int
    sections_per_event: int

    @property
    def sections(self) -> int:
        return self.events * self.sections_per_event

    def place(self, number: int) -> tuple[int, str]:
        """Return event id and section id of a section."""
        event, section = divmod(number, self.sections_per_event)
        return event + 1, f"S{section:04d}"

    def number(self, event_id: int, section: str) -> int:
        """Return the number of a section: the inverse of `place`."""
        return (event_id - 1) * self.sections_per_event + int(section[1:])


class StatusWriter:
    """Makes records of a hall's sections.

    A section's counts follow from its version, and every version differs from the one before.
    """

    def __init__(self, hall: Hall, form: Form, ids: SchemaIds) -> None:
        self._form = form
        self._encode = encoders(SECTION_STATUS, ids)[SLIM]
        places = [hall.place(number) for number in range(hall.sections)]
        self._places = [(event_id, section.encode()) for event_id, section in places]
        self.keys = [section_key(event_id, section) for event_id, section in places]
        self.partitions = [partition_of(key, SECTION_STATUS.partitions) for key in self.keys]
        # A record is its fields in a row: the seats, always the same, go behind any counts. So
        # that not our writing of seats is measured, but what becomes of them.
        self._seats = _written_seats() if form is Form.MAP else b""

    def value(self, number: int, version: int, as_of_ms: int) -> bytes:
        """Return the record of a section as of a version."""
        event_id, section = self._places[number]
        free = SEATS - version % SEATS
        held = SEATS - free
        if self._form is Form.SLIM:
            return self._encode(event_id, section, free, as_of_ms, version, held, min(free, 50))
        counts = (event_id, section.decode(), free, as_of_ms, version, held, min(free, 50))
        return header_of(MAP_SCHEMA_ID) + _written(_named(counts)) + self._seats


def _written_seats() -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(_SEATS["type"]), seats(SEATS // 2))
    return file.getvalue()
