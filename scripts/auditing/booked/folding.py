"""The topic booking-queue, record by record as pods take it, to the line of each event."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from schemas.topics import BOOKING_QUEUE
from scripts.auditing.booked.lines import LENGTH_MAX, Line
from scripts.auditing.oracle.keys import partition_of
from scripts.auditing.schemas import Fields, Unreadable, WireFormat
from scripts.auditing.topics import LogRecord, Records

REQUEST_BYTES_MAX: Final = 8_192
EVENT_ID_MAX: Final = 2**63 - 1


class Place(NamedTuple):
    """Where something lies in the topic, and what there is to say of it."""

    partition: int
    offset: int
    why: str
    message: str


@dataclass(slots=True)
class Lines:
    """What the topic makes of the lines of all events.

    found:   what pods cannot have meant; why: its anomaly. foreign: records that no pod heeds.
    by_event: the lines, with their partitions. ends: up to where each partition was read.
    """

    by_event: dict[int, tuple[int, Line]] = field(default_factory=dict)
    found: list[Place] = field(default_factory=list)
    foreign: list[Place] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)

    def named(self) -> frozenset[str]:
        """Return every reservation that an outcome names."""
        lines = (line for _, line in self.by_event.values())
        return frozenset(one for line in lines for one in line.told.values())


def folded(
    wire: WireFormat, records: Records, firsts: Mapping[int, int], length_max: int = LENGTH_MAX
) -> Lines:
    """Return the lines that all records of the topic make.

    firsts:     by partition, the offset of the first record that retention has left.
    length_max: items of an event that are not over.
    """
    lines = Lines()
    for partition, lying in records.items():
        for record in lying:
            try:
                event_id, name, fields = _read(wire, record, partition, len(records))
            except Unreadable as error:
                lines.foreign.append(Place(partition, record.offset, str(error), ""))
                continue
            if event_id not in lines.by_event:
                is_whole = firsts.get(partition, 0) == 0
                line = Line(is_whole=is_whole, length_max=length_max)
                lines.by_event[event_id] = partition, line
            line = lines.by_event[event_id][1]
            for anomaly, message in line.apply(name, fields, record.offset + 1, record.timestamp):
                told = f"event {event_id}: {message}, offset {record.offset}"
                lines.found.append(Place(partition, record.offset, anomaly, told))
    return lines


def _read(
    wire: WireFormat, record: LogRecord, partition: int, partitions: int
) -> tuple[int, str, Fields]:
    """Return event, name and fields of a record; raises Unreadable for what pods pass over."""
    if record.value is None:
        raise Unreadable("no value")
    name, fields = wire.decode(record.value, BOOKING_QUEUE)
    event_id = fields["eventId"] if name == "CleanLine" else event_of(fields["item"])
    if not 0 <= event_id <= EVENT_ID_MAX:
        raise Unreadable("no event")
    if fields.get("token") == "":
        raise Unreadable("no token")
    if len(fields.get("request", b"")) > REQUEST_BYTES_MAX:
        raise Unreadable("a request that is too long")
    key = str(event_id).encode()
    if record.key != key:
        raise Unreadable(f"key {record.key!r} of event {event_id}")
    if partition != partition_of(key, partitions):
        raise Unreadable(f"event {event_id} on {partition}")
    return event_id, name, fields


def event_of(item_id: str) -> int:
    """Return the event that an item's id names, -1 where it is none."""
    stem, _, digits = item_id.partition("-")
    is_stem = len(stem) == 26 and set(stem) <= set("abcdefghijklmnopqrstuvwxyz234567")
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= 19
    if not is_stem or not is_number or str(int(digits)) != digits:
        return -1
    return int(digits)
