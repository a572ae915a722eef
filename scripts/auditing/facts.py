"""What an audit knows of one partition before it judges: everything read and folded, once.

The oracle decides every command that the state claims to have, and says which outcomes that must
have led to; the outcomes that lie in the topic are read beside it. The families of invariants are
given the result and change none of it.
"""

from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from schemas.topics import PAYMENT_COMMANDS, RESERVATION_OUTCOMES, SECTION_COMMANDS
from scripts.auditing.log import Log
from scripts.auditing.oracle.model import FREE_BYTES_MAX, Oracle
from scripts.auditing.oracle.seats import Section
from scripts.auditing.purchases import Payment, Purchases, is_of_cart, read_purchases
from scripts.auditing.report import Notes, decimal, offset_of
from scripts.auditing.schemas import Unreadable
from scripts.auditing.stored import Stored, read_changelog
from scripts.auditing.topics import LogRecord

HEADERS_MAX, HEADERS_BYTES_MAX = 100, 64 * 1024
CAUSE = "dead-letter-cause"
SAID = ("amount", "currency", "bookingNumber", "seats")
"""What a word of the payments role says of a purchase."""
# More than any section's record has room for: whoever wrote such an outcome, we count no further.
SEATS_MAX = 8 * FREE_BYTES_MAX

Fields = dict[str, Any]


@dataclass(slots=True)
class Traces:
    """What an audit comes across that is to be compared with what clients were told.

    wanted:   reservation ids.
    commands: of a wanted id: offset and fields of each, in log order.
    outcomes: of a wanted id: name and fields by outcome id, in the order of the topic.
    sections: as the oracle left them, by event and section.
    payments: of a wanted id: what was heard and told of its payment.
    """

    wanted: AbstractSet[str]
    commands: dict[str, list[tuple[int, Fields]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    outcomes: dict[str, dict[str, tuple[str, Fields]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    sections: dict[tuple[int, str], Section] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)


# Not frozen, as `LogRecord` is not: there are as many.
@dataclass(slots=True)
class Expected:
    """An outcome that one command must have led to.

    turn:    its place among all outcomes of the partition.
    trigger: offset of the command.
    """

    turn: int
    trigger: int
    key: bytes
    name: str
    fields: Fields
    body: bytes


@dataclass(slots=True)
class Told:
    """An outcome that lies in the topic and can be read.

    turn: how often its id lay there before.
    """

    record: LogRecord
    name: str
    fields: Fields
    turn: int

    @property
    def outcome_id(self) -> str:
        """Return its id, which names the command."""
        return str(self.fields["outcomeId"])

    @property
    def at(self) -> int:
        """Return the offset of the command that it names, -1 where it names none."""
        return offset_of(self.fields["outcomeId"])

    @property
    def section_key(self) -> str:
        """Return the key of its section's records."""
        request = self.fields["request"]
        return f"{request['eventId']}-{request['section']}"

    @property
    def where(self) -> dict[str, str]:
        """Return whom it concerns, as a violation names them."""
        request = self.fields["request"]
        return {"reservation_id": request["reservationId"], "section": request["section"]}


@dataclass(slots=True)
class Facts:
    """One partition; nobody changes it after `facts_of`.

    allow_repeats: the group was rewound, so outcomes may come again, byte for byte.
    stored:      the state as it lies in the changelog.
    oracle:      after the last command that the state claims.
    read_to:     how far the state went when it was read; what lies behind it may have effects
                 that were written since. None where the state was not written since either.
    expected:    outcomes by their id, in the order of their commands.
    sequence:    the same outcomes in the order in which they must be written.
    miscounted:  offsets of commands after which the oracle's own counts did not add up.
    undecided:   commands that the state does not have.
    unreadable:  commands that nobody can read, by offset.
    set_aside:   readable commands that the worker says it could not survive, by offset.
    told:        every outcome that can be read, in order, but effects of commands behind read_to.
    times:       how often each outcome id was told.
    followed:    each outcome once, in order, without the countless ones.
    countless:   outcomes that name more seats than any section has.
    payments:    what payments must have been told, by the id of the command that told it.
    carts:       what carts must have been told, by the id of the command or lapse told of.
    purchases:   what became of the money, as far as the topics of payments tell.
    """

    log: Log
    partition: int
    allow_repeats: bool
    stored: Stored
    oracle: Oracle
    read_to: int | None
    expected: dict[str, list[Expected]] = field(default_factory=lambda: defaultdict(list))
    sequence: list[Expected] = field(default_factory=list)
    miscounted: list[int] = field(default_factory=list)
    undecided: list[LogRecord] = field(default_factory=list)
    unreadable: dict[int, LogRecord] = field(default_factory=dict)
    set_aside: dict[int, LogRecord] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    times: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    followed: list[Told] = field(default_factory=list)
    countless: list[Told] = field(default_factory=list)
    payments: dict[str, Expected] = field(default_factory=dict)
    carts: dict[str, Expected] = field(default_factory=dict)
    purchases: Purchases = field(default_factory=Purchases)

    def is_ahead(self, trigger: int) -> bool:
        """Say whether the command at this offset was decided after the state was read."""
        return self.read_to is not None and trigger >= self.read_to


class PartExpected(NamedTuple):
    """What a cart must have been told; as `Expected`, whose fields its body has, too."""

    trigger: int
    key: bytes
    name: str
    body: bytes


class Done(NamedTuple):
    """A payment of which a word must have been said.

    offset: of the command that started it. said: what of its purchase a word says, too.
    sold:   the seats of its reservation, where these are not the purchase's; None where they are.
    """

    offset: int
    status: str
    epoch: int
    turns: int
    said: Fields
    sold: list[Fields] | None


@dataclass(slots=True)
class Kept:
    """What of a partition is compared with what lies in others, when all are read.

    It is kept of all partitions at once: so there is nothing in it but what is compared.

    next_offset, read_to: as in `Facts`. carts: what they must have been told, as there.
    done: by reservation.
    """

    partition: int
    allow_repeats: bool
    next_offset: int
    read_to: int | None
    carts: dict[str, PartExpected]
    done: dict[str, Done]

    def is_ahead(self, trigger: int) -> bool:
        """As of `Facts`."""
        return self.read_to is not None and trigger >= self.read_to


def kept_of(facts: Facts) -> Kept:
    """Return what is kept of a partition whose records go."""
    done = {
        reservation_id: done_of(reservation_id, payment, facts.oracle)
        for reservation_id, payment in facts.purchases.by_id.items()
        if payment.is_told_of
    }
    carts = {
        outcome_id: PartExpected(one.trigger, one.key, one.name, one.body)
        for outcome_id, one in facts.carts.items()
    }
    return Kept(
        facts.partition,
        facts.allow_repeats,
        facts.stored.next_offset,
        facts.read_to,
        carts,
        done,
    )


def done_of(reservation_id: str, payment: Payment, oracle: Oracle) -> Done:
    """Return what is compared of a payment of which a word must have been said."""
    stored, held = payment.stored, oracle.reservations.get(reservation_id)
    assert stored is not None
    sold = None
    if payment.status == "DONE" and held is not None and not is_of_cart(reservation_id):
        section = held.record["request"]["section"]
        seats = [{"section": section, **part} for part in held.record["seats"]]
        sold = None if stored["seats"] == seats else seats
    said = {part: stored[part] for part in SAID}
    return Done(payment.offset, payment.status, stored["epoch"], stored["turns"], said, sold)


def facts_of(
    log: Log,
    notes: Notes,
    *,
    allow_repeats: bool = False,
    traces: Traces | None = None,
) -> Facts:
    """Read and fold the partition of these notes; count what is read, and what strangers wrote.

    traces: filled on the way.
    """
    traces = traces or Traces(frozenset())
    partition = notes.partition
    stored = read_changelog(log, notes)
    facts = Facts(
        log,
        partition,
        allow_repeats,
        stored,
        Oracle("section-commands", partition, log.partitions),
        stored.next_offset if partition in log.moved else None,
    )
    fold_commands(facts, notes, traces)
    read_outcomes(facts, notes, traces)
    quarantined = quarantined_of(log, partition, PAYMENT_COMMANDS.name)
    facts.purchases = read_purchases(log, notes, quarantined)
    return facts


# Commands.


def fold_commands(facts: Facts, notes: Notes, traces: Traces) -> None:
    """Let the oracle decide every command below the offset that the state claims."""
    log, partition = facts.log, facts.partition
    next_offset = facts.stored.next_offset
    quarantined = quarantined_of(log, partition, SECTION_COMMANDS.name)
    for record in log.commands.get(partition, []):
        if record.offset >= next_offset:
            facts.undecided.append(record)
            continue
        command = read_command(facts, record, notes)
        if command is not None and command[0] != "Tick":
            reservation_id = command[1]["request"]["reservationId"]
            if reservation_id in traces.wanted:
                traces.commands[reservation_id].append((record.offset, command[1]))
        set_aside = record.offset in quarantined
        if set_aside and command is not None:
            notes.report.set_aside += 1
            facts.set_aside[record.offset] = record
        outcomes = facts.oracle.apply(
            record.offset, record.timestamp, record.key, command, set_aside=set_aside
        )
        for name, fields in outcomes:
            expected = expect(facts, record.offset, name, fields)
            facts.sequence.append(expected)
            facts.expected[fields["outcomeId"]].append(expected)
        if facts.oracle.payments is not None:
            name, fields = facts.oracle.payments
            told = expect(facts, record.offset, name, fields)
            facts.payments[fields["outcomeId"]] = told
        for name, fields in facts.oracle.carts:
            request = fields["request"]
            told = expect(facts, record.offset, name, fields)
            key = f"{request['eventId']}-{request['userId']}".encode()
            facts.carts[fields["outcomeId"]] = replace(told, key=key)
        facts.miscounted += [
            record.offset for each in facts.oracle.touched_sections() if not adds_up(each)
        ]


def read_command(facts: Facts, record: LogRecord, notes: Notes) -> tuple[str, Fields] | None:
    """Return name and fields of a command; None where there is none, or nobody can read it."""
    report = notes.report
    if record.value is None:
        report.ignored += 1
        return None
    try:
        judge_headers(record)
        command = facts.log.wire.decode(record.value, SECTION_COMMANDS)
    except Unreadable:
        facts.unreadable[record.offset] = record
        return None
    if command[0] == "Tick":
        report.ticks += 1
    else:
        report.commands += 1
    return command


def expect(facts: Facts, trigger: int, name: str, fields: Fields) -> Expected:
    """Return a record that a command must have led to."""
    return Expected(
        len(facts.sequence),
        trigger,
        fields["request"]["reservationId"].encode(),
        name,
        fields,
        facts.log.wire.avro.encode(name, fields),
    )


def adds_up(section: Section) -> bool:
    """Count a section's seats: the oracle is not above suspicion either."""
    counts = section.free, section.held, section.sold, section.blocked
    return sum(counts) == section.seat_count and min(counts) >= 0


def judge_headers(record: LogRecord) -> None:
    """Raise Unreadable where a record has more headers, or larger ones, than a worker takes."""
    if not record.headers:
        return
    size = sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    if len(record.headers) > HEADERS_MAX or size > HEADERS_BYTES_MAX:
        raise Unreadable(f"{len(record.headers)} headers of {size} bytes")


def quarantined_of(log: Log, partition: int, topic: str) -> set[int]:
    """Return the offsets of records of a topic that the workers say they could not survive."""
    return {
        origin_of(record, partition, topic)
        for record in log.dead_letters.get(partition, [])
        if dict(record.headers).get(CAUSE) == b"QUARANTINED"
    }


def origin_of(record: LogRecord, partition: int, topic: str = SECTION_COMMANDS.name) -> int:
    """Return the offset of the command that a dead letter says to be, -1 where it says none."""
    # Ours lie behind those of the original, which may have the same names.
    said = dict(record.headers)
    if said.get("dead-letter-topic") != topic.encode():
        return -1
    if said.get("dead-letter-partition") != str(partition).encode():
        return -1
    return decimal((said.get("dead-letter-offset") or b"").decode(errors="replace"))


# Outcomes.


def read_outcomes(facts: Facts, notes: Notes, traces: Traces) -> None:
    """Read every outcome in the topic; count what is foreign and what is ahead."""
    wire, sequence, times, report = facts.log.wire, facts.sequence, facts.times, notes.report
    turn_now = 0
    for record in facts.log.outcomes.get(facts.partition, []):
        report.outcomes += 1
        value = record.value or b""
        usual = sequence[turn_now] if turn_now < len(sequence) else None
        # Bytes that are those expected next need no decoding.
        if usual and value[5:] == usual.body and wire.name_of(value) == usual.name:
            name, fields = usual.name, usual.fields
            turn_now += 1
        else:
            try:
                name, fields = wire.decode(value, RESERVATION_OUTCOMES)
            except Unreadable as error:
                # If it was ours once, the outcome that is missing now is told of.
                notes.foreign(RESERVATION_OUTCOMES.name, record.offset, str(error))
                continue
            if facts.is_ahead(offset_of(fields["outcomeId"])):
                report.ahead += 1
                continue
            others = facts.expected.get(fields["outcomeId"], [])
            if times[fields["outcomeId"]] < len(others):
                turn_now = others[times[fields["outcomeId"]]].turn + 1
        outcome_id, reservation_id = fields["outcomeId"], fields["request"]["reservationId"]
        told = Told(record, name, fields, times[outcome_id])
        times[outcome_id] += 1
        facts.told.append(told)
        if reservation_id in traces.wanted:
            traces.outcomes[reservation_id].setdefault(outcome_id, (name, fields))
        if told.turn == 0:
            seats = sum(part["count"] for part in fields.get("seats", ()))
            (facts.countless if seats > SEATS_MAX else facts.followed).append(told)
