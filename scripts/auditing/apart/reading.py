"""What an audit reads of some partitions at a time, and what it reads when all are judged.

Within them effects are read first and causes last, as `read_topics` does. Topics in which
one partition is told of another's (carts, tickets) are read behind all partitions: what they tell
of later is found by `undecided_since`, and nothing is compared then that has moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer

from schemas.topics import (
    CART_COMMANDS,
    CARTS_CHANGELOG,
    DEAD_LETTER_QUEUE,
    PAYMENT_COMMANDS,
    PAYMENT_COMPLETED,
    PAYMENT_EVENTS,
    PERFORMANCE_SLOTS,
    PURCHASE_CONFIRMED,
    PURCHASE_CREATED,
    PURCHASES_CHANGELOG,
    RESERVATION_OUTCOMES,
    SEATS_ALLOCATED,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    Topic,
)
from scripts.auditing.checks import Part
from scripts.auditing.log import Log, entries_of
from scripts.auditing.schemas import WireFormat, own_schemas
from scripts.auditing.topics import (
    LogRecord,
    Records,
    bounds_from_the_beginning,
    bounds_of,
    read_between,
    read_together,
    read_topic,
)

TICKS = frozenset(("Tick", "PaymentTick"))
"""Records that workers send themselves: nobody waits for one."""

CAUSES = (PAYMENT_COMMANDS, SECTION_COMMANDS)
"""What a partition has to decide, and is read to its end last."""

OF_MONEY = (PURCHASES_CHANGELOG, PAYMENT_EVENTS)

Ends = dict[str, int]
"""By topic: the offset behind the last record that was read of a partition."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is the same for all partitions.

    is_paid:  payments were played by some worker. statuses: the topic of statuses.
    ledger:   file of the mock gateway, if one was named.
    """

    partitions: int
    committed: Mapping[int, int]
    is_paid: bool
    statuses: Topic
    ledger: Path | None = None


def read_parts(
    consumer: Consumer, wanted: Wanted, here: Sequence[int], statuses: Records | None
) -> tuple[Log, dict[int, Ends]]:
    """Read some partitions of each topic of seats and money; raises CannotRead.

    statuses: of their sections, where they lie elsewhere.
    """
    committed = {part: at for part, at in wanted.committed.items() if part in here}
    log = Log(WireFormat(own_schemas(), {}), wanted.partitions, committed, is_paid=wanted.is_paid)
    # The order of these is that of effects and causes; in which they are read means nothing then.
    bounds = {topic.name: bounds_of(consumer, topic, here) for topic in OF_MONEY}
    log.ledger = None if wanted.ledger is None else entries_of(wanted.ledger)
    effects = (SEATS_CHANGELOG, *(() if statuses else (wanted.statuses,)), DEAD_LETTER_QUEUE)
    bounds |= {topic.name: bounds_of(consumer, topic, here) for topic in effects}
    bounds[PAYMENT_COMMANDS.name] = bounds_from_the_beginning(consumer, PAYMENT_COMMANDS, here)
    bounds[RESERVATION_OUTCOMES.name] = bounds_of(consumer, RESERVATION_OUTCOMES, here)
    bounds[SECTION_COMMANDS.name] = bounds_from_the_beginning(consumer, SECTION_COMMANDS, here)
    found = read_together(consumer, bounds)
    log.purchases, log.told = found[PURCHASES_CHANGELOG.name], found[PAYMENT_EVENTS.name]
    log.changelog = found[SEATS_CHANGELOG.name]
    log.statuses = statuses or found[wanted.statuses.name]
    log.dead_letters = found[DEAD_LETTER_QUEUE.name]
    log.payments, log.outcomes = found[PAYMENT_COMMANDS.name], found[RESERVATION_OUTCOMES.name]
    log.commands = found[SECTION_COMMANDS.name]
    log.ends = {part: high for part, (_, high) in bounds[SECTION_COMMANDS.name].items()}
    state = bounds[SEATS_CHANGELOG.name]
    now = bounds_of(consumer, SEATS_CHANGELOG, here)
    log.moved = frozenset(part for part in state if now.get(part) != state[part])
    ends = {
        part: {name: of[part][1] for name, of in bounds.items() if part in of} for part in here
    }
    return log, ends


def read_rest(consumer: Consumer, log: Log) -> None:
    """Read what several partitions tell of one another, effects first; raises CannotRead."""
    log.slots = read_topic(consumer, PERFORMANCE_SLOTS)
    log.allocated = read_topic(consumer, SEATS_ALLOCATED)
    log.issued = read_topic(consumer, PURCHASE_CREATED)
    log.carts_state = read_topic(consumer, CARTS_CHANGELOG)
    log.confirmed = read_topic(consumer, PURCHASE_CONFIRMED)
    log.claims = read_topic(consumer, PAYMENT_COMPLETED)
    bounds_from_the_beginning(consumer, CART_COMMANDS)
    log.carts = read_topic(consumer, CART_COMMANDS)


def read_since(consumer: Consumer, ends: Mapping[int, Ends]) -> dict[str, list[LogRecord]]:
    """Return by topic what causes were written behind what was read of each partition."""
    found = {}
    for topic in CAUSES:
        now = bounds_of(consumer, topic)
        since = {
            part: (ends[part][topic.name], high)
            for part, (_, high) in now.items()
            if topic.name in ends.get(part, {})
        }
        listed = read_between(consumer, topic, since).values()
        found[topic.name] = [record for records in listed for record in records]
    return found


def undecided_since(wire: WireFormat, since: Mapping[str, list[LogRecord]]) -> int:
    """Return how many records somebody waits for, of those that were written meanwhile."""
    return sum(
        record.value is not None and wire.name_of(record.value) not in TICKS
        for records in since.values()
        for record in records
    )


def note_moves(consumer: Consumer, parts: Mapping[int, Part], ends: Mapping[int, Ends]) -> None:
    """Note how far the state of each partition was that was written since it was read."""
    for part, (_, high) in bounds_of(consumer, SEATS_CHANGELOG).items():
        if part in parts and high != ends[part].get(SEATS_CHANGELOG.name):
            kept = parts[part].kept
            kept.read_to = kept.next_offset if kept.read_to is None else kept.read_to
