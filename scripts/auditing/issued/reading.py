"""Topics of what happens after the money in; the newest word about each order and purchase, out.

Read with the schemas alone, as everything here. An order's words lie with its buyer, and its
payment with its section or cart: so all are read at once, before any partition is judged.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import (
    PERFORMANCE_SLOTS,
    PURCHASE_CONFIRMED,
    PURCHASE_CREATED,
    SEATS_ALLOCATED,
    Topic,
)
from scripts.auditing.log import Log
from scripts.auditing.report import Notes, Report
from scripts.auditing.schemas import Unreadable
from scripts.auditing.topics import Records

Fields = dict[str, Any]

# Begins the keys of what workers send themselves on the topics that they read.
OF_WORKERS = b"\0"
OF_ORDER = ("orderId", "turns", "amount", "currency", "bookingNumber", "seats")
"""What a word of the payments role and an order that was issued have in common."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a record says of an order.

    is_valid: whether the seats are the buyer's. said: the fields of `OF_ORDER`.
    buyer:    (user, event). purchase_id: empty for a word of the payments role.
    """

    partition: int
    offset: int
    is_valid: bool
    said: Fields
    buyer: tuple[str, int]
    purchase_id: str = ""

    @property
    def turns(self) -> int:
        """Return how often the payment had changed."""
        return int(self.said["turns"])

    def says_as(self, other: "Word") -> bool:
        """Say whether two words are the same."""
        return (self.is_valid, self.said, self.buyer) == (other.is_valid, other.said, other.buyer)


@dataclass(slots=True)
class Issued:
    """What lies in the topics.

    confirmed: by order id and turns, what the payments role has said.
    newest:    the last of those, by order id.
    orders:    the last that was issued, by order id.
    told:      each record about a purchase, by purchase id and revision.
    is_active: by purchase id, by its highest revision.
    allocated: ids of the service's allocations that have not ended, by purchase id.
    slots:     (allocation id, date, time) of each that was planned and not cancelled.
    """

    confirmed: dict[tuple[str, int], Word] = field(default_factory=dict)
    newest: dict[str, Word] = field(default_factory=dict)
    orders: dict[str, Word] = field(default_factory=dict)
    told: dict[tuple[str, int], list[Word]] = field(default_factory=lambda: defaultdict(list))
    is_active: dict[str, tuple[int, bool]] = field(default_factory=dict)
    allocated: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    slots: set[tuple[str, str, str]] = field(default_factory=set)


def read_issued(log: Log, report: Report) -> Issued:
    """Read all three topics; note what is foreign, and words that contradict one another."""
    issued = Issued()
    for notes, offset, name, fields in decoded(log, log.confirmed, PURCHASE_CONFIRMED, report):
        request = fields["request"]
        word = Word(
            *(notes.partition, offset, name == "PurchaseConfirmed"),
            {part: fields[part] for part in OF_ORDER},
            (request["userId"], request["eventId"]),
        )
        order_id = str(fields["orderId"])
        known = issued.confirmed.setdefault((order_id, word.turns), word)
        if not known.says_as(word):
            message = f"{order_id} at turn {word.turns}, and another at offset {known.offset}"
            notes.bad("I26", "two words", offset, message)
        add(issued.newest, order_id, word)
    for notes, offset, name, fields in decoded(log, log.issued, PURCHASE_CREATED, report):
        order, revision = fields["order"], int(fields["revision"])
        word = Word(
            *(notes.partition, offset, order["isValid"]),
            {part: order[part] for part in OF_ORDER},
            (fields["userId"], fields["eventId"]),
            str(fields["purchaseId"]),
        )
        issued.told[word.purchase_id, revision].append(word)
        add(issued.orders, str(order["orderId"]), word)
        is_active = name == "PurchaseCreated" or bool(fields["isActive"])
        known_revision, _ = issued.is_active.get(word.purchase_id, (-1, False))
        if revision > known_revision:
            issued.is_active[word.purchase_id] = revision, is_active
    for _, _, _, fields in decoded(log, log.allocated, SEATS_ALLOCATED, report):
        allocations = issued.allocated[str(fields["purchaseId"])]
        # One that has ended makes room for another.
        change = allocations.discard if fields["status"] == "ended" else allocations.add
        change(str(fields["allocationId"]))
    for notes, offset, name, fields in decoded(log, log.slots, PERFORMANCE_SLOTS, report):
        slot = str(fields["allocationId"]), str(fields["date"]), str(fields["time"])
        if name != "SlotScheduled":
            issued.slots.discard(slot)
            continue
        if slot in issued.slots:
            notes.bad("I26", "slot twice", offset, f"{slot} is planned already")
        issued.slots.add(slot)
    return issued


def add(words: dict[str, Word], order_id: str, word: Word) -> None:
    """Keep the newer of two words about an order."""
    known = words.get(order_id)
    if known is None or known.turns < word.turns:
        words[order_id] = word


def decoded(
    log: Log, records: Records, topic: Topic, report: Report
) -> Iterator[tuple[Notes, int, str, Fields]]:
    """Yield where each record lies, its name and fields; count what is foreign."""
    for partition, lying in records.items():
        notes = Notes(partition, report)
        for record in lying:
            if (record.key or b"").startswith(OF_WORKERS):
                continue
            try:
                yield notes, record.offset, *log.wire.decode(record.value or b"", topic)
            except Unreadable as error:
                notes.foreign(topic.name, record.offset, str(error))
