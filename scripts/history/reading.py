"""Reads what a section or a reservation left in the topics, committed, and only that."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from schemas.topics import RESERVATION_OUTCOMES, SEATS_CHANGELOG, SECTION_COMMANDS, Topic
from scripts.auditing.log import writers_of
from scripts.auditing.report import Notes, Report
from scripts.auditing.schemas import Avro, Unreadable, WireFormat
from scripts.auditing.stored import Stored
from scripts.auditing.topics import CannotRead, LogRecord, reading
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import read_spans, spans_of
from scripts.history.section import Layout, present_seats
from scripts.history.timeline import Event, Timeline, event_of, in_order
from state.domain.keys import partition_of, section_key

DECODED_AT_ONCE = 10_000

Fields = dict[str, Any]
Named = tuple[int, LogRecord, str, Fields]  # partition, record, name and fields of its value


class NoSection(CannotRead):
    """The state has no such section: it was never opened, or its key is another."""


@dataclass(frozen=True, slots=True)
class SectionLog:
    """A section now and before; unread: what may belong to it, and cannot be read."""

    partition: int
    layout: Layout
    timeline: Timeline
    state: Fields
    unread: str = ""


def each_line(
    where: Servers,
    topic: Topic,
    is_wanted: Callable[[LogRecord], bool],
    partitions: Iterable[int] | None = None,
    begins: Mapping[int, int] | None = None,
) -> Iterator[tuple[int, LogRecord]]:
    """Yield the committed records that are wanted, those of each partition in their order.

    begins: by partition, the offset before which nothing is read.
    """
    spans = spans_of(where, topic, committed=True)
    if partitions is not None:
        spans = {part: spans[part] for part in partitions}
    if begins is not None:
        spans = {
            part: (max(first, begins.get(part, 0)), end) for part, (first, end) in spans.items()
        }
    with reading(where) as consumer:
        for part, record in read_spans(consumer, topic, spans):
            if is_wanted(record):
                yield part, record


def lines_of(
    where: Servers,
    topic: Topic,
    is_wanted: Callable[[LogRecord], bool],
    partitions: Iterable[int] | None = None,
) -> list[tuple[int, LogRecord]]:
    """Return the committed records that are wanted, by partition and offset."""
    found = each_line(where, topic, is_wanted, partitions)
    return sorted(found, key=lambda one: (one[0], one[1].offset))


@dataclass(slots=True)
class Unread:
    """Records that were left out because they cannot be read: how many, the first, and where.

    A stranger's junk is among them, and so is all that was written with schemas of another
    registry: who is told nothing of them takes a log for empty that is not.
    """

    count: int = 0
    first: str = ""
    partitions: set[int] = field(default_factory=set)

    def note(self, topic: Topic, partition: int, offset: int, why: str) -> None:
        """Count one."""
        self.first = self.first or f"{topic.name}-{partition}, offset {offset}: {why}"
        self.count += 1
        self.partitions.add(partition)

    def __str__(self) -> str:
        return f"{self.count} cannot be read, the first at {self.first}" if self.count else ""


def decoded(
    where: Servers,
    topic: Topic,
    records: Iterable[tuple[int, LogRecord]],
    unread: Unread | None = None,
) -> Iterator[Named]:
    """Yield records with their values; what is no record of the topic is counted in `unread`."""
    unread = Unread() if unread is None else unread
    writers: dict[int, tuple[str, Any]] = {}
    wire = WireFormat(Avro(), writers)
    asked: set[int] = set()
    left = iter(records)
    while part := list(islice(left, DECODED_AT_ONCE)):
        ids = {
            int.from_bytes(record.value[1:5], "big")
            for _, record in part
            if record.value and len(record.value) >= 5 and record.value[0] == 0
        }
        writers |= writers_of(where.registry_url, ids - asked)[0]
        asked |= ids
        for partition, record in part:
            try:
                name, fields = wire.decode(record.value or b"", topic)
            except Unreadable as error:
                unread.note(topic, partition, record.offset, str(error))
                continue
            yield partition, record, name, fields


def outcomes(
    where: Servers,
    words: Iterable[str],
    partitions: Iterable[int] | None = None,
    keeps: Callable[[Fields], bool] = lambda _: True,
    unread: Unread | None = None,
) -> list[tuple[int, Event]]:
    """Return the outcomes whose bytes hold all words, each once and in order, by partition.

    keeps: says which of them are asked for; those of all others would fill the memory.
    """
    wanted = [word.encode() for word in words]
    records = each_line(
        where,
        RESERVATION_OUTCOMES,
        # Cheaper than decoding: ids stand in a record as they are.
        lambda record: all(word in (record.value or b"") for word in wanted),
        partitions,
    )
    found: dict[int, list[Event]] = {}
    for partition, _, name, fields in decoded(where, RESERVATION_OUTCOMES, records, unread):
        event = event_of(name, fields, partition) if keeps(fields) else None
        if event is not None:
            found.setdefault(partition, []).append(event)
    return [(part, event) for part in sorted(found) for event in in_order(found[part])]


def commands(where: Servers, reservation_id: str, unread: Unread | None = None) -> list[Named]:
    """Return the commands of a reservation."""
    word = reservation_id.encode()
    records = lines_of(where, SECTION_COMMANDS, lambda record: word in (record.value or b""))
    return [
        one
        for one in decoded(where, SECTION_COMMANDS, records, unread)
        if one[2] != "Tick" and one[3]["request"]["reservationId"] == reservation_id
    ]


def stored(where: Servers, keeps: Callable[[bytes], bool], partition: int, count: int) -> Stored:
    """Return the state of a partition as its changelog has it, of the keys that are kept."""
    records = each_line(
        where, SEATS_CHANGELOG, lambda record: keeps(record.key or b""), [partition]
    )
    return folded((record for _, record in records), partition, count)


def folded(records: Iterable[LogRecord], partition: int, count: int) -> Stored:
    """Return the state that records of one partition's changelog make; count: of partitions."""
    found = Stored(Avro(), Notes(partition, Report()), count)
    for record in records:
        found.fold((record,))
        # Kept for those who judge each state on the way: all of a long changelog's, in memory.
        found.section_states.clear()
    return found


def readable(state: Stored, partition: int, keys: Iterable[bytes]) -> None:
    """Raise CannotRead where the newest value of a key cannot be read: one before it is past."""
    for key in keys:
        if key in state.unreadable:
            offset, why = state.unreadable[key]
            raise CannotRead(
                f"{SEATS_CHANGELOG.name}-{partition}, offset {offset}: the state of {key!r} cannot"
                f" be read: {why}. See seatstream audit"
            )


def section_log(where: Servers, event_id: int, section: str) -> SectionLog:
    """Return a section now and before; raises NoSection where it was never opened."""
    key = section_key(event_id, section)
    count = len(spans_of(where, SEATS_CHANGELOG, committed=True))
    partition = partition_of(key, count)
    state = stored(where, lambda one: one[:1] == b"r" or one[1:] == key, partition, count)
    readable(state, partition, (tag + key for tag in (b"s", b"l", b"b")))
    unread = Unread()
    for offset, why in state.unreadable.values():
        unread.note(SEATS_CHANGELOG, partition, offset, why)
    found = section_of(state, event_id, section, [])
    if found is None:
        raise NoSection(f"{SEATS_CHANGELOG.name}-{partition} has no section {key.decode()}")
    told = outcomes(where, [section], [partition], _is_of(event_id, section), unread)
    events = [event for _, event in told]
    found = section_of(state, event_id, section, events) or found
    return replace(found, unread=str(unread))


def section_of(
    state: Stored, event_id: int, section: str, events: Iterable[Event]
) -> SectionLog | None:
    """Return a section by the state and the outcomes of its partition; None where it has none."""
    key = section_key(event_id, section)
    names = {tag: tag + key for tag in (b"s", b"l", b"b")}
    values = {tag: state.last.get(name) for tag, name in names.items()}
    counters, rows = values[b"s"], values[b"l"]
    if counters is None or rows is None:
        return None
    is_own = _is_of(event_id, section)
    reservations = [
        fields
        for one, value in state.last.items()
        if one[:1] == b"r" and is_own(fields := state.state_of(one, value))
    ]
    blocked = values[b"b"]
    closed = b"" if blocked is None else state.state_of(names[b"b"], blocked)["blocked"]
    layout = Layout(state.state_of(names[b"l"], rows)["rows"])
    now = state.state_of(names[b"s"], counters)
    present = present_seats(layout, now, closed, reservations)
    own = [event for event in events if is_own(event.fields)]
    return SectionLog(state.notes.partition, layout, Timeline(present, in_order(own)), now)


def _is_of(event_id: int, section: str) -> Callable[[Fields], bool]:
    return lambda fields: (
        (fields["request"]["eventId"], fields["request"]["section"]) == (event_id, section)
    )
