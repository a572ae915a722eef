"""Changelogs of purchases, allocations and slots in; the rows of the tables, out.

The topics that tell of purchases forget after a week, and changelogs do not: so the tables are
made anew of these. A value counts where its checksum says that it is of its changelog and
partition, as for whoever restores a store. One that does not count, or that cannot be decoded, may
be of a newer release, or damaged: its purchase is unread, and its rows are nobody's to delete.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.topics import ALLOCATIONS_CHANGELOG, ISSUED_CHANGELOG, SLOTS_CHANGELOG, Topic
from scripts.auditing.topics import LogRecord, reading
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import Span, read_spans, spans_of
from state.domain.issued.purchase import is_purchase_of
from state.domain.keys import ALLOCATED, ISSUED, SLOTS
from state.records.issued.codecs import allocation_of, issued_purchase, slot_window
from state.stores import envelope
from state.tables.rows import AllocationRow, OrderRow, PurchaseRow, Row, SlotRow, rows_of, slot_row

T = TypeVar("T")

TAGS = {ISSUED_CHANGELOG: ISSUED, ALLOCATIONS_CHANGELOG: ALLOCATED, SLOTS_CHANGELOG: SLOTS}
TABLES = {
    "purchases": ISSUED_CHANGELOG,
    "orders": ISSUED_CHANGELOG,
    "allocations": ALLOCATIONS_CHANGELOG,
    "slots": SLOTS_CHANGELOG,
}
"""Each table, tickets apart, and where its rows lie."""

_TABLE_OF: dict[type[Row], str] = {
    PurchaseRow: "purchases",
    OrderRow: "orders",
    AllocationRow: "allocations",
    SlotRow: "slots",
}

Lying = Iterable[tuple[int, LogRecord]]
"""Committed records with their partitions, those of each in their order."""

Place = tuple[int, int]
"""Partition and offset."""

Whose = dict[bytes, tuple[str, int]]
"""User and event of each purchase."""


@dataclass(slots=True)
class Found:
    """What lies in the changelogs.

    rows:   how many there are by table, tickets apart.
    values: how many values count, by changelog; of some there are no rows.
    unread: by topic, partition and purchase id: where a value lies that does not count, and why;
            none behind which a later value of its key counts.
    """

    rows: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    unread: dict[tuple[str, int, bytes], str] = field(default_factory=dict)
    _last: dict[Topic, dict[bytes, tuple[Place, bytes]]] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        """Return how many values are left out."""
        return len(self.unread)

    @property
    def first(self) -> str:
        """Return where the first of them lies, and why it is left out; empty for none."""
        return next(iter(self.unread.values()), "")

    @property
    def purchases_unread(self) -> frozenset[str]:
        """Return the ids of their purchases, as far as keys say them."""
        # No text of a database has a zero byte.
        texts = (own_id.decode(errors="replace") for _, _, own_id in self.unread)
        return frozenset(text.replace("\0", "\ufffd") for text in texts)

    def all_rows(self) -> Iterator[Row]:
        """Yield every row, as often as it is asked for."""
        whose: Whose = {}
        for _, own_id, purchase in self._contents(ISSUED_CHANGELOG, issued_purchase):
            whose[own_id] = purchase.user_id.decode(), purchase.event_id
            yield from rows_of(purchase)
        yield from self._allocations(whose)
        yield from self._slots(whose)

    def _allocations(self, whose: Whose) -> Iterator[Row]:
        for place, own_id, kept in self._contents(ALLOCATIONS_CHANGELOG, allocation_of):
            if not kept.allocation_id:
                # The service was never asked.
                continue
            if own_id not in whose:
                self._forget(ALLOCATIONS_CHANGELOG, place, own_id, f"{own_id!r} is no purchase")
                continue
            yield AllocationRow(
                own_id.decode(),
                *whose[own_id],
                kept.revision,
                kept.allocation_id.decode(),
                kept.status.decode(),
            )

    def _slots(self, whose: Whose) -> Iterator[Row]:
        known: set[bytes] = set()
        for place, own_id, window in self._contents(SLOTS_CHANGELOG, slot_window):
            if not window.allocation_id:
                # It has ended.
                continue
            allocation_id = window.allocation_id.decode()
            if own_id not in whose or window.allocation_id in known:
                why = "another purchase has" if own_id in whose else "is no purchase, with"
                said = f"{own_id!r}: {why} the allocation {allocation_id:.100}"
                self._forget(SLOTS_CHANGELOG, place, own_id, said)
                continue
            known.add(window.allocation_id)
            of = (own_id.decode(), *whose[own_id]), window.revision, allocation_id
            for one in window.slots:
                when = (one.date, one.time), one.starts_ms
                yield slot_row(*of, *when, is_cancelled=False)

    def take(self, topic: Topic, lying: Lying) -> None:
        """Take in the last value of each key that counts."""
        last = self._last.setdefault(topic, {})
        for partition, record in lying:
            key, value, place = record.key or b"", record.value, (partition, record.offset)
            if key[:1] != TAGS[topic] or value is None:
                # No worker deletes these keys.
                continue
            own_id = key[1:]
            if not is_purchase_of(own_id, partition):
                self._leave_out(topic, place, own_id, f"under the key {key!r:.100}")
                continue
            try:
                payload = envelope.unpack(value, envelope.seed_of(topic.name, partition))[0]
            except envelope.CorruptValue as error:
                self._leave_out(topic, place, own_id, str(error))
                continue
            last[own_id] = place, payload
            self.unread.pop((topic.name, partition, own_id), None)

    def count(self) -> None:
        """Count the rows; what has none is left out."""
        self.rows = Counter(_TABLE_OF[type(row)] for row in self.all_rows())
        self.values = Counter({topic.name: len(last) for topic, last in self._last.items()})

    def _contents(
        self, topic: Topic, read: Callable[[bytes], T]
    ) -> Iterator[tuple[Place, bytes, T]]:
        for own_id, (place, payload) in list(self._last[topic].items()):
            try:
                content = read(payload)
            except ValueError as error:
                self._forget(topic, place, own_id, f"{error}")
                continue
            yield place, own_id, content

    def _forget(self, topic: Topic, place: Place, own_id: bytes, why: str) -> None:
        del self._last[topic][own_id]
        self._leave_out(topic, place, own_id, why)

    def _leave_out(self, topic: Topic, place: Place, own_id: bytes, why: str) -> None:
        partition, offset = place
        said = f"{topic.name}-{partition}, offset {offset}: {why}"
        self.unread[topic.name, partition, own_id] = said


def stored(where: Servers) -> Found:
    """Return what workers have stored until now; raises CannotRead and KafkaException.

    What they store from now on is told to the tables by its topic.
    """
    spans: dict[Topic, dict[int, Span]] = {}
    # Ends are those behind open transactions too: who has read what such a one tells may be ahead
    # of where its changelog seems to end. The end of what follows from purchases is asked for
    # before theirs, so that each purchase that it is of is there.
    for topic in (SLOTS_CHANGELOG, ALLOCATIONS_CHANGELOG, ISSUED_CHANGELOG):
        spans[topic] = spans_of(where, topic)

    def lying(topic: Topic) -> Lying:
        with reading(where) as consumer:
            yield from read_spans(consumer, topic, spans[topic])

    return found_in(lying)


def found_in(lying: Callable[[Topic], Lying]) -> Found:
    """Return what lies in the changelogs."""
    found = Found()
    for topic in TAGS:
        found.take(topic, lying(topic))
    found.count()
    return found
