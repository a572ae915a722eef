"""Changelogs of purchases and allocations in; the rows of the tables, out.

The topics that tell of purchases forget after a week, and changelogs do not: so the tables are
made anew of these. A value counts where its checksum says that it is of its changelog and
partition, as for whoever restores a store.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.topics import ALLOCATIONS_CHANGELOG, ISSUED_CHANGELOG, Topic
from scripts.auditing.log import LogRecord, reading
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import read_spans, spans_of
from state.domain.issued.purchase import is_purchase_of
from state.domain.keys import ALLOCATED, ISSUED
from state.records.issued.codecs import allocation_of, issued_purchase
from state.stores import envelope
from state.tables.rows import AllocationRow, Row, rows_of

T = TypeVar("T")

TAGS = {ISSUED_CHANGELOG: ISSUED, ALLOCATIONS_CHANGELOG: ALLOCATED}

Lying = Iterable[tuple[int, LogRecord]]
"""Committed records with their partitions, those of each in their order."""


@dataclass(slots=True)
class Found:
    """What was found.

    rows: how many by table. left_out: values that are nobody's; first: where the first of them
    lies, and why.
    """

    rows: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    first: str = ""

    def leave_out(self, topic: Topic, partition: int, offset: int, why: str) -> None:
        self.left_out += 1
        self.first = self.first or f"{topic.name}-{partition}, offset {offset}: {why}"


def stored_rows(where: Servers, found: Found) -> Iterator[Row]:
    """Yield every row; raises CannotRead and KafkaException.

    The ends are asked for now: what workers store from now on is told to the tables by its topic.
    """

    def lying(topic: Topic) -> Lying:
        with reading(where) as consumer:
            # Behind open transactions too: who has read what such a one tells may be ahead of
            # where its changelog seems to end.
            yield from read_spans(consumer, topic, spans_of(where, topic))

    return rows_in(lying, found)


def rows_in(lying: Callable[[Topic], Lying], found: Found) -> Iterator[Row]:
    """Yield every row of what lies in the changelogs."""
    whose: dict[bytes, tuple[str, int]] = {}
    for _, _, purchase in _last(lying, ISSUED_CHANGELOG, found, issued_purchase):
        whose[purchase.purchase_id] = purchase.user_id.decode(), purchase.event_id
        for row in rows_of(purchase):
            found.rows["purchases" if row[0] == purchase.purchase_id.decode() else "orders"] += 1
            yield row
    yield from _allocations(lying, found, whose)


def _allocations(
    lying: Callable[[Topic], Lying], found: Found, whose: dict[bytes, tuple[str, int]]
) -> Iterator[Row]:
    for place, own_id, kept in _last(lying, ALLOCATIONS_CHANGELOG, found, allocation_of):
        if not kept.allocation_id:
            # The service was never asked.
            continue
        if own_id not in whose:
            found.leave_out(ALLOCATIONS_CHANGELOG, *place, f"{own_id!r} is no purchase")
            continue
        found.rows["allocations"] += 1
        yield AllocationRow(
            own_id.decode(),
            *whose[own_id],
            kept.revision,
            kept.allocation_id.decode(),
            kept.status.decode(),
        )


def _last(
    lying: Callable[[Topic], Lying], topic: Topic, found: Found, read: Callable[[bytes], T]
) -> Iterator[tuple[tuple[int, int], bytes, T]]:
    """Yield partition and offset, purchase id and content of the last value of each key."""
    last: dict[tuple[int, bytes], tuple[int, bytes]] = {}
    for partition, record in lying(topic):
        key, value = record.key or b"", record.value
        if key[:1] != TAGS[topic] or value is None:
            # No worker deletes these keys.
            continue
        if not is_purchase_of(key[1:], partition):
            found.leave_out(topic, partition, record.offset, f"under the key {key!r:.100}")
            continue
        try:
            payload = envelope.unpack(value, envelope.seed_of(topic.name, partition))[0]
        except envelope.CorruptValue as error:
            found.leave_out(topic, partition, record.offset, str(error))
            continue
        last[partition, key[1:]] = record.offset, payload
    for (partition, own_id), (offset, payload) in last.items():
        try:
            content = read(payload)
        except ValueError as error:
            found.leave_out(topic, partition, offset, f"{error}")
            continue
        yield (partition, offset), own_id, content
