"""The tables are made anew of the last values that are of their changelog and partition."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from support.tables.words import (
    ANN,
    PARTITIONS,
    allocation_row,
    histories,
    nothing_of,
    order_of,
    rows_after,
    slot_of,
    words_of,
)

from schemas.topics import ALLOCATIONS_CHANGELOG, ISSUED_CHANGELOG, SLOTS_CHANGELOG, Topic
from scripts.auditing.topics import LogRecord
from scripts.tables.reading import found_in
from state.domain.issued.purchase import IssuedPurchase
from state.domain.issued.slots import Slot
from state.domain.keys import ALLOCATED, ISSUED, SLOTS
from state.records.issued.codecs import (
    Allocation,
    SlotWindow,
    stored_allocation,
    stored_purchase,
    stored_window,
)
from state.stores import envelope
from state.tables.rows import AllocationRow, SlotRow, rows_of

ID = ANN.purchase_id
WHERE = int(ID.rpartition(b"-")[2])


class Changelogs:
    """Two changelogs, as they lie."""

    def __init__(self) -> None:
        self.lying: dict[Topic, list[tuple[int, LogRecord]]] = {
            ISSUED_CHANGELOG: [],
            ALLOCATIONS_CHANGELOG: [],
            SLOTS_CHANGELOG: [],
        }

    def read(self, topic: Topic) -> Iterable[tuple[int, LogRecord]]:
        return self.lying[topic]

    def put(
        self, topic: Topic, key: bytes, payload: bytes | None, partition: int, seed: int = 0
    ) -> None:
        own = seed or envelope.seed_of(topic.name, partition)
        value = None if payload is None else envelope.pack(payload, seed=own)
        records = self.lying[topic]
        records.append((partition, LogRecord(len(records), 1_000, key, value, ())))

    def keep(self, purchase: IssuedPurchase) -> None:
        own_id = purchase.purchase_id
        partition = int(own_id.rpartition(b"-")[2])
        self.put(ISSUED_CHANGELOG, ISSUED + own_id, stored_purchase(purchase), partition)

    def keep_allocation(self, row: AllocationRow) -> None:
        kept = Allocation(row.revision, row.allocation_id.encode(), row.status.encode())
        partition = int(row.purchase_id.rpartition("-")[2])
        key = ALLOCATED + row.purchase_id.encode()
        self.put(ALLOCATIONS_CHANGELOG, key, stored_allocation(kept), partition)

    def keep_slots(self, one: SlotRow, rows: list[SlotRow]) -> None:
        slots = tuple(
            Slot(row.slot_date.toordinal(), 60 * row.slot_time.hour, row.starts_at_ms)
            for row in rows
        )
        own_id = one.purchase_id.encode()
        allocation_id = one.allocation_id.encode() if rows else b""
        window = SlotWindow(one.revision, allocation_id, slots)
        partition = int(one.purchase_id.rpartition("-")[2])
        self.put(SLOTS_CHANGELOG, SLOTS + own_id, stored_window(window), partition)


@given(histories(), st.booleans())
def test_the_rows_are_those_that_live_tables_have(
    history: list[IssuedPurchase], is_compacted: bool
) -> None:
    changelogs = Changelogs()
    last = list({one.purchase_id: one for one in history}.values())
    for purchase in last if is_compacted else history:
        changelogs.keep(purchase)
    slots: dict[str, list[SlotRow]] = {}
    for word in words_of(history):
        for row in word.rows:
            if isinstance(row, AllocationRow):
                changelogs.keep_allocation(row)
                slots[row.purchase_id] = []
            elif isinstance(row, SlotRow):
                slots[row.purchase_id] += [] if row.is_cancelled else [row]
                changelogs.keep_slots(row, [] if row.is_cancelled else slots[row.purchase_id])
    found = found_in(changelogs.read)
    rows = list(found.all_rows())
    # Whoever plans slots forgets those that were cancelled.
    live = {
        row for row in rows_after(history) if not isinstance(row, SlotRow) or not row.is_cancelled
    }
    assert set(rows) == live == set(found.all_rows())
    assert len(rows) == sum(found.rows.values())
    assert found.left_out == 0


PURCHASES_OF_ANN = set(rows_of(ANN))


def test_what_is_nobodys_is_left_out_and_told_and_takes_nobodys_place() -> None:
    changelogs = Changelogs()
    changelogs.keep(ANN)
    topic, key = ISSUED_CHANGELOG, ISSUED + ID
    foreign = stored_purchase(ANN._replace(orders=()))
    for case in (
        (key, foreign, WHERE, envelope.seed_of("another-changelog", WHERE)),
        (key, foreign, (WHERE + 1) % PARTITIONS, 0),
        (ISSUED + b"no-\0id", foreign, WHERE, 0),
    ):
        changelogs.put(topic, *case)
    # What else a worker stores, and what a stranger would delete.
    changelogs.put(topic, b"\xfcp", b"progress", WHERE)
    changelogs.put(topic, key, None, WHERE)
    found = found_in(changelogs.read)
    assert set(found.all_rows()) == PURCHASES_OF_ANN
    assert (found.left_out, found.first[:20]) == (3, f"issued-changelog-{WHERE}, ")
    assert found.purchases_unread == {ID.decode(), "no-\ufffdid"}


def test_what_a_later_value_that_counts_has_replaced_is_not_missed() -> None:
    changelogs = Changelogs()
    seed = envelope.seed_of("another-changelog", WHERE)
    changelogs.put(ISSUED_CHANGELOG, ISSUED + ID, b"x", WHERE, seed)
    changelogs.keep(ANN)
    found = found_in(changelogs.read)
    assert (found.left_out, found.purchases_unread) == (0, frozenset())


def test_an_allocation_of_no_purchase_is_left_out_and_one_that_is_none_is_passed_over() -> None:
    changelogs = Changelogs()
    changelogs.keep_allocation(AllocationRow(ID.decode(), "ann", 7, 1, "", ""))
    found = found_in(changelogs.read)
    assert (list(found.all_rows()), found.left_out) == ([], 0)
    changelogs.keep_allocation(AllocationRow(ID.decode(), "ann", 7, 1, "al", "approved"))
    found = found_in(changelogs.read)
    assert list(found.all_rows()) == []
    assert (found.left_out, "is no purchase" in found.first) == (1, True)


def test_one_allocation_of_two_purchases_has_its_slots_once() -> None:
    bob = nothing_of("bob").taking(order_of("bob", 1, 1))
    changelogs = Changelogs()
    for purchase in (ANN, bob):
        changelogs.keep(purchase)
        slot = slot_of(allocation_row(purchase)._replace(allocation_id="al-1"), 1)
        changelogs.keep_slots(slot, [slot])
    found = found_in(changelogs.read)
    assert sum(isinstance(row, SlotRow) for row in found.all_rows()) == 1
    assert (found.left_out, "another purchase has" in found.first) == (1, True)


def test_what_cannot_be_decoded_is_left_out_and_its_purchase_unread() -> None:
    changelogs = Changelogs()
    changelogs.put(ISSUED_CHANGELOG, ISSUED + ID, b"\xff", WHERE)
    changelogs.put(ALLOCATIONS_CHANGELOG, ALLOCATED + ID, b"\xff", WHERE)
    found = found_in(changelogs.read)
    assert (list(found.all_rows()), found.left_out) == ([], 2)
    assert found.purchases_unread == {ID.decode()}
