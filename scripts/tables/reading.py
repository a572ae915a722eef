"""Changelogs of purchases and allocations in; the rows of the tables, out.

The topics that tell of purchases forget after a week, and changelogs do not: so the tables are
made anew of these. A value counts where its checksum says that it is of its changelog and
partition, as for whoever restores a store. One that does not count, or that cannot be decoded, may
be of a newer release, or damaged: its purchase is unread, and its rows are nobody's to delete.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.topics import ALLOCATIONS_CHANGELOG, ISSUED_CHANGELOG, Topic
from scripts.auditing.log import LogRecord, reading
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import Span, read_spans, spans_of
from state.domain.issued.purchase import is_purchase_of
from state.domain.keys import ALLOCATED, ISSUED
from state.records.issued.codecs import allocation_of, issued_purchase
from state.stores import envelope
from state.tables.rows import AllocationRow, PurchaseRow, Row, rows_of

T = TypeVar("T")

TAGS = {ISSUED_CHANGELOG: ISSUED, ALLOCATIONS_CHANGELOG: ALLOCATED}

Lying = Iterable[tuple[int, LogRecord]]
"""Committed records with their partitions, those of each in their order."""

Place = tuple[int, int]
"""Partition and offset."""


@dataclass(slots=True)
class Found:
    """What lies in the changelogs.

    rows:   how many there are by table, tickets apart.
    unread: by topic, partition and purchase id: where a value lies that does not count, and why;
            none behind which a later value of its key counts.
    """

    rows: Counter[str] = field(default_factory=Counter)
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
        whose: dict[bytes, tuple[str, int]] = {}
        for _, own_id, purchase in self._contents(ISSUED_CHANGELOG, issued_purchase):
            whose[own_id] = purchase.user_id.decode(), purchase.event_id
            yield from rows_of(purchase)
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
        self.rows.clear()
        for row in self.all_rows():
            self.rows[table_of(row)] += 1

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


def table_of(row: Row) -> str:
    """Return the name of the table that a row is of."""
    if isinstance(row, PurchaseRow):
        return "purchases"
    return "allocations" if isinstance(row, AllocationRow) else "orders"


def stored(where: Servers) -> Found:
    """Return what workers have stored until now; raises CannotRead and KafkaException.

    What they store from now on is told to the tables by its topic.
    """
    spans: dict[Topic, dict[int, Span]] = {}
    # Ends are those behind open transactions too: who has read what such a one tells may be ahead
    # of where its changelog seems to end. The end of what follows from purchases is asked for
    # before theirs, so that each purchase that it is of is there.
    for topic in (ALLOCATIONS_CHANGELOG, ISSUED_CHANGELOG):
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
