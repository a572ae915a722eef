"""The topics of seats and payments as they lie on the broker, read committed up to a snapshot."""

import gc
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from time import time
from typing import Any

from confluent_kafka import Consumer
from redis.exceptions import RedisError

from infra.gateway.books import Entry
from infra.gateway.ledger import CorruptLedger, read_ledger
from schemas.topics import (
    BOOKING_QUEUE,
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
    SECTION_STATUS,
    WAITING_TURNS,
    Topic,
)
from scripts.auditing.booked.folding import Lines, folded
from scripts.auditing.booked.reading import SeenQueue, read_queues
from scripts.auditing.locks.reading import SeenLock, read_locks
from scripts.auditing.schemas import WireFormat, own_schemas
from scripts.auditing.topics import (
    CannotRead,
    Records,
    bounds_from_the_beginning,
    bounds_of,
    partition_count,
    read_between,
    read_topic,
    reading,
)
from scripts.auditing.waiting.reading import SeenRoom, read_rooms
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import OffsetsUnknown, committed_offsets
from serdes.registry.client import Registry, RegistryRefusedError, RegistryUnavailableError
from serdes.registry.ids import RegisteredSchema
from serdes.registry.known_ids import (
    IdLogUnavailableError,
    KnownId,
    KnownIds,
    SchemaIdsError,
    forgotten,
)
from state.domain.keys import partition_of
from state.kafka.schema_id_log import SchemaIdLog
from streams.settings import Settings


@dataclass(slots=True)
class Log:
    """Records of each topic by partition, in offset order.

    committed: the group's committed offset of each partition, as it was before anything was read.
    ends:      the end of the commands by partition; without one, that of the last record.
    moved:     partitions whose state was written again while the log was read.
    payments:  payment-commands. told: payment-events. purchases: purchases-changelog.
    claims:    payment-completed; looked through for cards, and not judged: its effects are.
    carts:     cart-commands. carts_state: carts-changelog.
    confirmed: purchase-confirmed. issued: purchase-created. allocated: seats-allocated.
    slots:     performance-slots.
    is_paid:   payments were played by some worker, whatever is read of them here.
    ledger:    what the mock gateway has decided; None where nobody gave it.
    locks:     those of seats in Redis; None where nobody named it. locks_read_ms: when, Unix ms.
    queues:    booking queues in Redis, likewise. booked: reservations that their items name, and
               those of the queue in Kafka.
    bookings:  booking-queue. lines: what its records make; None where it was not read.
               lines_moved: its partitions that were written again while the log was read.
    rooms:     waiting rooms in Redis, likewise. turns: waiting-turns, read behind them;
               turns_before: by partition, where its end was before them.
    """

    wire: WireFormat
    partitions: int
    committed: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    moved: frozenset[int] = frozenset()
    commands: Records = field(default_factory=dict)
    outcomes: Records = field(default_factory=dict)
    statuses: Records = field(default_factory=dict)
    changelog: Records = field(default_factory=dict)
    dead_letters: Records = field(default_factory=dict)
    payments: Records = field(default_factory=dict)
    told: Records = field(default_factory=dict)
    claims: Records = field(default_factory=dict)
    purchases: Records = field(default_factory=dict)
    carts: Records = field(default_factory=dict)
    carts_state: Records = field(default_factory=dict)
    confirmed: Records = field(default_factory=dict)
    issued: Records = field(default_factory=dict)
    allocated: Records = field(default_factory=dict)
    slots: Records = field(default_factory=dict)
    is_paid: bool = False
    ledger: tuple[Entry, ...] | None = None
    locks: tuple[SeenLock, ...] | None = None
    locks_read_ms: int = 0
    queues: tuple[SeenQueue, ...] | None = None
    booked: frozenset[str] = frozenset()
    bookings: Records = field(default_factory=dict)
    lines: Lines | None = None
    lines_moved: frozenset[int] = frozenset()
    rooms: tuple[SeenRoom, ...] | None = None
    rooms_read_ms: int = 0
    turns: Records = field(default_factory=dict)
    turns_before: dict[int, int] = field(default_factory=dict)

    def by_topic(self) -> Iterator[tuple[str, Records]]:
        """Yield the name of each topic that was read, and its records."""
        yield SECTION_COMMANDS.name, self.commands
        yield RESERVATION_OUTCOMES.name, self.outcomes
        yield SECTION_STATUS.name, self.statuses
        yield SEATS_CHANGELOG.name, self.changelog
        yield DEAD_LETTER_QUEUE.name, self.dead_letters
        yield PAYMENT_COMMANDS.name, self.payments
        yield PAYMENT_EVENTS.name, self.told
        yield PAYMENT_COMPLETED.name, self.claims
        yield PURCHASES_CHANGELOG.name, self.purchases
        yield CART_COMMANDS.name, self.carts
        yield CARTS_CHANGELOG.name, self.carts_state
        yield PURCHASE_CONFIRMED.name, self.confirmed
        yield PURCHASE_CREATED.name, self.issued
        yield SEATS_ALLOCATED.name, self.allocated
        yield PERFORMANCE_SLOTS.name, self.slots
        yield WAITING_TURNS.name, self.turns
        yield BOOKING_QUEUE.name, self.bookings


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Look for no garbage while a log is read and judged: its million objects have no cycles.

    Else they are walked over again and again as they become more, a sixth of the whole time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_log(
    where: Servers, group: str = "", ledger: Path | None = None, redis_url: str = ""
) -> Log:
    """Read all topics of the audit, and what Redis has; raises CannotRead.

    group:     of the workers, the default one where it is empty.
    ledger:    file of the mock gateway, `DIR/ledger`.
    redis_url: empty for no look at locks, booking queues and waiting rooms.
    """
    queues = Log(WireFormat(own_schemas(), {}), 0)
    look_at_queues(queues, redis_url)
    try:
        with reading(where) as consumer:
            look_at_bookings(consumer, queues, lambda ids: wire_for(where, ids))
            committed = committed_offsets(where, group or Settings().app_id)
            log = read_topics(consumer, committed, ledger, where.status)
            log.queues, log.booked = queues.queues, queues.booked
            log.bookings, log.lines = queues.bookings, queues.lines
            look_at_lines(consumer, log, redis_url)
            look_again_at_bookings(consumer, log)
    except OffsetsUnknown as error:
        raise CannotRead(str(error)) from error
    log.wire = wire_of(where, log)
    # Last: what has begun since the log was read is waited for, and not judged by it.
    look_at_locks(log, redis_url)
    return log


def wire_of(where: Servers, log: Log) -> WireFormat:
    """Return what reads the values of a log; raises CannotRead where ids are contradictory."""
    return wire_for(where, ids_in(log))


def ids_in(log: Log) -> frozenset[int]:
    """Return the schema ids that stand before the values of a log."""
    topics = (
        *(log.commands, log.outcomes, log.statuses, log.payments, log.told, log.carts),
        *(log.confirmed, log.issued, log.allocated, log.slots, log.turns, log.claims),
        log.bookings,
    )
    values = (record.value for topic in topics for lying in topic.values() for record in lying)
    return frozenset(
        int.from_bytes(value[1:5], "big")
        for value in values
        if value and len(value) >= 5 and value[0] == 0
    )


def wire_for(where: Servers, ids: frozenset[int]) -> WireFormat:
    """Return what reads values with these schema ids; as `wire_of`."""
    writers, told = writers_of(where.registry_url, ids)
    try:
        known = KnownIds()
        known.add(SchemaIdLog(where.brokers, kafka=where.kafka).read())
        known.check(told)
        lost = [one for one in known.all() if one.schema_id in ids - writers.keys()]
        if lost:
            # Or commands that were decided would count as a stranger's bytes.
            raise forgotten(lost[0], Registry(where.registry_url).url)
    except (SchemaIdsError, IdLogUnavailableError) as error:
        raise CannotRead(f"schema ids: {error}") from error
    return WireFormat(own_schemas(), writers)


def look_at_lines(consumer: Consumer, log: Log, redis_url: str) -> None:
    """Read waiting rooms and what was written of them; as `look_at_locks`."""
    if not redis_url:
        return
    log.turns_before = {part: end for part, (_, end) in bounds_of(consumer, WAITING_TURNS).items()}
    log.rooms_read_ms = int(time() * 1000)
    try:
        log.rooms = read_rooms(redis_url)
    except (RedisError, ValueError) as error:
        raise CannotRead(f"Redis does not tell its waiting rooms: {error}") from error
    log.turns = read_topic(consumer, WAITING_TURNS)


def look_at_locks(log: Log, redis_url: str) -> None:
    """Read the locks of seats where Redis is named; raises CannotRead."""
    if not redis_url:
        return
    log.locks_read_ms = int(time() * 1000)
    try:
        log.locks = read_locks(redis_url)
    except (RedisError, ValueError) as error:
        raise CannotRead(f"Redis does not tell its locks: {error}") from error


def look_at_queues(log: Log, redis_url: str) -> None:
    """Read the booking queue where Redis is named; as `look_at_locks`.

    Before the log is read, which then knows all reservations that items name.
    """
    if not redis_url:
        return
    try:
        log.queues = read_queues(redis_url)
    except (RedisError, ValueError) as error:
        raise CannotRead(f"Redis does not tell its booking queue: {error}") from error
    items = (item for queue in log.queues for item in queue.items.values())
    log.booked = frozenset(item.reservation_id for item in items if item.reservation_id)


def look_at_bookings(
    consumer: Consumer, log: Log, wire_of_ids: Callable[[frozenset[int]], WireFormat]
) -> None:
    """Read the booking queue in Kafka, before the log as `look_at_queues`; raises CannotRead."""
    bounds = bounds_of(consumer, BOOKING_QUEUE)
    log.bookings = read_between(consumer, BOOKING_QUEUE, bounds)
    firsts = {part: first for part, (first, _) in bounds.items()}
    log.lines = folded(wire_of_ids(ids_in(log)), log.bookings, firsts)
    log.lines.ends = {part: end for part, (_, end) in bounds.items()}
    log.booked |= log.lines.named()


def look_again_at_bookings(consumer: Consumer, log: Log) -> None:
    """Note which partitions of the booking queue were written since they were read."""
    assert log.lines is not None
    ends = log.lines.ends
    now = bounds_of(consumer, BOOKING_QUEUE)
    log.lines_moved = frozenset(part for part, (_, end) in now.items() if ends.get(part) != end)


def read_topics(
    consumer: Consumer,
    committed: dict[int, int],
    ledger: Path | None = None,
    status: Topic = SECTION_STATUS,
) -> Log:
    """Read what lies in the topics, and the ledger; raises CannotRead and KafkaException.

    status: the topic of statuses.
    """
    log = Log(
        WireFormat(own_schemas(), {}), partition_count(consumer, SECTION_COMMANDS), committed
    )
    # Effects first and causes last: what the commands' snapshot lacks cannot have effects. What a
    # purchase knows of seats and gateways is read before these, and what moved it after them.
    log.slots = read_topic(consumer, PERFORMANCE_SLOTS)
    log.allocated = read_topic(consumer, SEATS_ALLOCATED)
    log.issued = read_topic(consumer, PURCHASE_CREATED)
    log.carts_state = read_topic(consumer, CARTS_CHANGELOG)
    log.purchases = read_topic(consumer, PURCHASES_CHANGELOG)
    log.confirmed = read_topic(consumer, PURCHASE_CONFIRMED)
    log.told = read_topic(consumer, PAYMENT_EVENTS)
    if ledger is not None:
        log.ledger = entries_of(ledger)
    state_ends = bounds_of(consumer, SEATS_CHANGELOG)
    log.changelog = read_topic(consumer, SEATS_CHANGELOG)
    log.statuses = with_sections(read_topic(consumer, status), log.partitions)
    log.dead_letters = read_topic(consumer, DEAD_LETTER_QUEUE)
    log.claims = read_topic(consumer, PAYMENT_COMPLETED)
    bounds_from_the_beginning(consumer, CART_COMMANDS)
    log.carts = read_topic(consumer, CART_COMMANDS)
    bounds_from_the_beginning(consumer, PAYMENT_COMMANDS)
    log.payments = read_topic(consumer, PAYMENT_COMMANDS)
    log.outcomes = read_topic(consumer, RESERVATION_OUTCOMES)
    for partition, (_, high) in bounds_from_the_beginning(consumer, SECTION_COMMANDS).items():
        log.ends[partition] = high
    log.commands = read_topic(consumer, SECTION_COMMANDS)
    now = bounds_of(consumer, SEATS_CHANGELOG)
    log.moved = frozenset(part for part in now if now[part][1] != state_ends[part][1])
    return log


def with_sections(statuses: Records, partitions: int) -> Records:
    """Return statuses by the partition of their section, in their order.

    partitions: how many the commands have. Where statuses have as many they lie there already.
    """
    if len(statuses) == partitions:
        return statuses
    found: Records = {part: [] for part in range(partitions)}
    for records in statuses.values():
        for record in records:
            found[partition_of(record.key or b"", partitions)].append(record)
    return found


def entries_of(ledger: Path) -> tuple[Entry, ...]:
    """Return what a gateway's ledger says; raises CannotRead where there is none."""
    try:
        # An absent ledger reads as an empty one, and no capture would be missed.
        ledger.stat()
        return read_ledger(ledger).entries
    except (OSError, CorruptLedger) as error:
        raise CannotRead(f"the gateway's ledger: {error}") from error


def writers_of(
    registry_url: str, ids: AbstractSet[int]
) -> tuple[dict[int, tuple[str, Any]], list[KnownId]]:
    """Return name and parsed schema for each id of ours, and what the registry told of those."""
    registry = Registry(registry_url, timeout_s=10)
    avro = own_schemas()
    writers: dict[int, tuple[str, Any]] = {}
    told: list[KnownId] = []
    # No registry gives out another id than these.
    for schema_id in sorted(one for one in ids if 0 < one < 2**31):
        try:
            text = registry.call("GET", f"schemas/ids/{schema_id}")["schema"]
        except RegistryRefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                continue
            raise CannotRead(f"registry: {error}") from error
        except (RegistryUnavailableError, LookupError, TypeError) as error:
            raise CannotRead(f"registry at {registry.url}: {error!r}. Is it up?") from error
        named = avro.own_record(text)
        if named is not None:
            writers[schema_id] = named
            told.append(
                RegisteredSchema((), text).known_as(schema_id, f"the registry {registry.url}")
            )
    return writers, told
