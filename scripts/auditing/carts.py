"""What the topics of carts say: each cart as it is kept, and what sections told of its parts.

Read with the schemas alone, as everything here. A cart's parts lie on the partitions of their
sections, and the cart on its buyer's: so carts are read at once, before any partition is judged.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import CART_COMMANDS, CARTS_CHANGELOG
from scripts.auditing.log import Log
from scripts.auditing.oracle.keys import partition_of
from scripts.auditing.purchases import Payment, last_values
from scripts.auditing.report import Notes, Report, decimal
from scripts.auditing.schemas import Unreadable
from scripts.auditing.stored import check_envelope, opened
from scripts.auditing.topics import LogRecord

Fields = dict[str, Any]

CART, BUYER, PROGRESS = b"k", b"h", b"p"
STATE_BY_TAG = {CART: "Cart", BUYER: "BuyerCarts", PROGRESS: "Progress"}
KEY = re.compile(
    rb"k[a-z2-7]{26}-(?:0|[1-9][0-9]{0,5})|h(?:0|[1-9][0-9]{0,18})-.{1,64}|p", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class PartTold:
    """A PartDecided as it lies in the topic; is_home: on the partition of its key."""

    record: LogRecord
    fields: Fields
    is_home: bool


@dataclass(frozen=True, slots=True)
class StoredCart:
    """A cart as it is kept; offset: of its value in the changelog of that partition."""

    partition: int
    offset: int
    fields: Fields


@dataclass(frozen=True, slots=True)
class PaidCart:
    """The payment of a cart.

    kept:       minor units of the buyer's money that are kept, by currency.
    is_settled: it waits for nothing. is_asked: its gateway is still asked.
    """

    payment: Payment
    kept: Counter[str]
    is_settled: bool
    is_asked: bool


@dataclass(slots=True)
class Carts:
    """The carts of all partitions.

    told:   what sections told carts, by the section's partition, in the order of the topic.
    stored: by cart id.
    limits: most seats and open holds that a buyer was ever allowed, by the key of its carts; 0 for
            no limit.
    listed: ids of the carts that count for a buyer, by that key, as they are kept.
    payments: what became of its money, by cart id.
    truth:  how each reservation with the id of a part stands, by that id, as the oracle has it;
            with its section's partition. Two sections may each have one.
    """

    told: dict[int, list[PartTold]] = field(default_factory=lambda: defaultdict(list))
    stored: dict[str, StoredCart] = field(default_factory=dict)
    limits: dict[str, tuple[int, int]] = field(default_factory=dict)
    listed: dict[str, list[str]] = field(default_factory=dict)
    payments: dict[str, PaidCart] = field(default_factory=dict)
    truth: dict[str, list[tuple[int, Fields]]] = field(default_factory=lambda: defaultdict(list))


def read_carts(log: Log, report: Report) -> Carts:
    """Read all that lies in the topics of carts; count what is foreign, or waits."""
    carts = Carts()
    for partition in range(log.partitions):
        notes = Notes(partition, report)
        next_offset = read_state(log, notes, carts)
        for record in log.carts.get(partition, []):
            try:
                name, fields = log.wire.decode(record.value or b"", CART_COMMANDS)
            except Unreadable as error:
                notes.foreign(CART_COMMANDS.name, record.offset, str(error))
                continue
            if name != "CartTick" and record.offset >= next_offset:
                report.pending += 1
            if name == "OpenCart":
                allow(carts, fields)
            if name == "PartDecided":
                is_home = partition_of(record.key or b"", log.partitions) == partition
                told = PartTold(record, fields, is_home)
                carts.told[section_partition(fields)].append(told)
    report.carts = len(carts.stored)
    return carts


def allow(carts: Carts, asked: Fields) -> None:
    """Remember what a buyer was allowed when he asked for a cart."""
    buyer = f"{asked['eventId']}-{asked['userId']}"
    known = carts.limits.get(buyer, (0, 0))
    named = asked["maxSeatsPerUser"], asked["maxOpenHoldsPerUser"]
    carts.limits[buyer] = max(known[0], named[0]), max(known[1], named[1])


def section_partition(told: Fields) -> int:
    """Return the partition whose section told this; -1 for an id that names none."""
    parts = str(told["outcomeId"]).split(":")
    return decimal(parts[1]) if len(parts) == 4 else -1


def read_state(log: Log, notes: Notes, carts: Carts) -> int:
    """Read what the changelog ends with; return the offset of the first record it lacks."""
    next_offset = 0
    name = CARTS_CHANGELOG.name
    records = log.carts_state.get(notes.partition, [])
    last = last_values(records, notes, name, KEY, log.partitions)
    for key, (offset, value) in last.items():
        tag, rest = key[:1], key[1:].decode(errors="replace")
        try:
            check_envelope(value, notes.partition, name)
            fields = log.wire.avro.decode_stored(STATE_BY_TAG[tag], opened(value)[0])
        except Unreadable as error:
            notes.bad("I14", "corrupt value", offset, f"{name}: {key!r}: {error}")
            continue
        if tag == CART:
            carts.stored[rest] = StoredCart(notes.partition, offset, fields)
        elif tag == BUYER:
            carts.listed[rest] = fields["cartIds"]
        elif tag == PROGRESS:
            next_offset = fields["nextOffset"]
    return next_offset
