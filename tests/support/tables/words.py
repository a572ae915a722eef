"""What buyers may do, as words to the tables, and the rows that follow from it by themselves."""

from hypothesis import strategies as st
from support.issuing.orders import CODECS

from schemas.topics import PERFORMANCE_SLOTS, PURCHASE_CREATED, SEATS_ALLOCATED
from state.domain.issued.purchase import IssuedOrder, IssuedPurchase, purchase_id
from state.domain.keys import buyer_key, partition_of
from state.tables.rows import (
    AllocationRow,
    PurchaseRow,
    Row,
    SlotRow,
    Word,
    order_row,
    rows_of,
    slot_row,
)

PARTITIONS = 4
EVENT = 7
_JANUARY_MS = 4_922_870_400_000
USERS = ("ann", "bob", "çağ")


def order_of(user: str, number: int, turns: int) -> IssuedOrder:
    """Return an order of a buyer; it is valid at odd turns."""
    reservation = f"r-{USERS.index(user)}-{number}"
    return IssuedOrder(
        *(f"{reservation}.1.0".encode(), reservation.encode(), turns, turns % 2 == 1),
        *(900 * number, b"EUR", b"BK-1", ((b"A-1", number, 0, number), (b"B", 0, 5, 1))),
        1_000 * turns,
    )


def histories() -> st.SearchStrategy[list[IssuedPurchase]]:
    """Give, for some buyers, their purchase as it is after each of its changes."""
    steps = st.lists(st.tuples(st.sampled_from(USERS), st.integers(1, 2)), max_size=8)
    return steps.map(_grown)


def _grown(steps: list[tuple[str, int]]) -> list[IssuedPurchase]:
    known: dict[str, IssuedPurchase] = {}
    turns: dict[tuple[str, int], int] = {}
    grown = []
    for user, number in steps:
        turns[user, number] = turns.get((user, number), 0) + 1
        before = known.get(user) or nothing_of(user)
        known[user] = before.taking(order_of(user, number, turns[user, number]))
        grown.append(known[user])
    return grown


def nothing_of(user: str) -> IssuedPurchase:
    """Return the purchase of a buyer before there is an order."""
    name = user.encode()
    number = partition_of(buyer_key(EVENT, name), PARTITIONS)
    return IssuedPurchase(purchase_id(name, EVENT, number).encode(), name, EVENT)


def words_of(history: list[IssuedPurchase]) -> list[Word]:
    """Return what is told of each change: purchase and order; allocations; slots."""
    before: dict[bytes, IssuedPurchase] = {}
    told: list[Word] = []
    slots: dict[str, list[SlotRow]] = {}
    for purchase in history:
        was = before.get(purchase.purchase_id, purchase._replace(orders=()))
        before[purchase.purchase_id] = purchase
        [order] = set(purchase.orders) - set(was.orders)
        own_id, user = purchase.purchase_id.decode(), purchase.user_id.decode()
        partition = int(own_id.rpartition("-")[2])
        head = own_id, user, purchase.event_id, purchase.revision
        rows = PurchaseRow(*head, purchase.is_active), order_row(purchase.purchase_id, order)
        event_id = f"{own_id}:{purchase.revision}"
        told.append(Word(PURCHASE_CREATED.name, partition, event_id, "TOLD", "c-1", rows))
        if purchase.is_active and not was.is_active:
            allocated = allocation_row(purchase)
            topic = SEATS_ALLOCATED.name
            told.append(Word(topic, partition, event_id, "SEATS_ALLOCATED", "c-1", (allocated,)))
            slots[own_id] = [slot_of(allocated, day) for day in (1, 2)]
            told += [slot_word(partition, slot) for slot in slots[own_id]]
        if was.is_active and not purchase.is_active:
            for slot in slots[own_id]:
                ended = slot._replace(revision=purchase.revision, is_cancelled=True)
                told.append(slot_word(partition, ended))
    return told


def slot_of(allocated: AllocationRow, day: int) -> SlotRow:
    """Return a slot of an allocation, on a day of January."""
    whose = allocated.purchase_id, allocated.user_id, allocated.event_id
    when = (f"2126-01-{day:02}", "16:00"), _JANUARY_MS + 86_400_000 * day
    head = whose, allocated.revision, allocated.allocation_id
    return slot_row(*head, *when, is_cancelled=False)


def slot_word(partition: int, slot: SlotRow) -> Word:
    """Return what is told of a slot."""
    event_id = f"{slot.slot_id}:{slot.revision}"
    return Word(PERFORMANCE_SLOTS.name, partition, event_id, "SLOT", "c-1", (slot,))


def allocation_row(purchase: IssuedPurchase) -> AllocationRow:
    """Return what the service allocates to a purchase that becomes active."""
    own_id, user = purchase.purchase_id.decode(), purchase.user_id.decode()
    head = own_id, user, purchase.event_id, purchase.revision
    return AllocationRow(*head, f"al-{user}-{purchase.revision}", "approved")


def rows_after(history: list[IssuedPurchase]) -> set[Row]:
    """Return what the tables have in the end."""
    last = {purchase.purchase_id: purchase for purchase in history}
    rows = {row for purchase in last.values() for row in rows_of(purchase)}
    others: dict[str, Row] = {}
    for word in words_of(history):
        others |= {row[0]: row for row in word.rows if isinstance(row, AllocationRow | SlotRow)}
    return rows | set(others.values())


def created(purchase: IssuedPurchase, order: IssuedOrder) -> tuple[bytes, bytes]:
    """Return key and value of the record of a purchase that becomes active."""
    head = purchase.purchase_id, purchase.user_id, purchase.event_id, purchase.revision
    return buyer_key(purchase.event_id, purchase.user_id), CODECS.created(*head, order)


ANN = nothing_of("ann").taking(order_of("ann", 2, 1))
"""A purchase of two ranges of seats, after its first change."""
