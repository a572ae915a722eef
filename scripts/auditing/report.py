"""What an audit finds: violations, figures, and the records around a violation."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from scripts.auditing.log import Log
from scripts.auditing.schemas import Unreadable

Bad = Callable[[str, str, str], None]
"""Notes a violation: invariant, anomaly, message."""

EXCERPT_LINES = 12
OFFSET_DIGITS = 19
UNSHOWN = "parameters"
"""The field with a buyer's token for a gateway: a report may be read by anybody."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must hold and does not.

    invariant: I1, I2 ...; anomaly: the name of this kind of fault.
    offset:    of the command where it can be told, else of the record that is wrong.
    """

    invariant: str
    anomaly: str
    partition: int
    offset: int
    message: str
    reservation_id: str = ""
    section: str = ""


@dataclass(slots=True)
class Remark:
    """Records of one topic that change no verdict: how many, and where the first one lies."""

    count: int
    partition: int
    offset: int
    why: str


@dataclass(slots=True)
class Report:
    """The verdict and its figures.

    lost:      outcomes that commands must have and have not, and commands that were committed
               but not applied.
    pending:   commands that the group has not committed: nobody has decided them yet.
    ahead:     effects written after the state was read: the workers were still at it.
    foreign:   by topic, records that nobody of ours wrote; readers pass them over.
    superseded: by topic, values under keys of ours that cannot be read, each with a newer one
               behind it.
    lapses:    outcomes that no command asked for: holds whose time was over.
    repeated:  outcomes given once more than the commands explain, byte for byte the same.
    set_aside: readable commands that no worker survived.
    payments:  purchases; declined: those of which no money came; under_way: those that gateway or
               section have yet to answer; compensations: those that need a person.
    captured, refunded, price_of_sold: minor units by currency, by the gateway's ledger where it
               was given; price_of_sold: of reservations whose payment was started.
    money_mismatch: payments that have ended with other money than their seats cost.
    charged_twice:  orders, that were captured more than once.
    open_intents:   what gateways have yet to be asked, last looks included.
    sold_elsewhere: sales of seats with a price whose payment was never started here.
    carts:     how many; carts_under_way: those that wait for a section; carts_half_held: those at
               rest that hold some of their seats and not all, though all or nothing was wanted.
    locks:     of seats, in Redis; locks_left: those whose owner has no hold; locks_waiting: those
               of them that may yet go by themselves.
    rooms:     waiting rooms in Redis; waiting: users who wait there.
    queues:    events with a booking queue in Redis or Kafka; queued: items there that are not
               over; queues_moving: queues in Redis, and partitions of those in Kafka, that workers
               were at while they were read.
    held_over_limit: buyers who have more of an event than it allows, at rest.
    purchases: that are active; tickets: seats of theirs; allocations: to them; slots: planned for
               these; unissued: orders whose newest word nobody has acted on; unallocated:
               purchases without allocation.
    issued_twice: purchases told of twice, buyers with two, seats and allocations that are double.
    digest:    of everything that was expected: equal for equal logs.
    """

    violations: list[Violation] = field(default_factory=list)
    excerpts: dict[str, list[str]] = field(default_factory=dict)
    commands: int = 0
    ticks: int = 0
    outcomes: int = 0
    distinct_outcomes: int = 0
    lapses: int = 0
    repeated: int = 0
    duplicate_commands: int = 0
    dead_letters: int = 0
    set_aside: int = 0
    ignored: int = 0
    seats: int = 0
    free: int = 0
    held: int = 0
    sold: int = 0
    blocked: int = 0
    sections: int = 0
    sold_twice: int = 0
    lost: int = 0
    pending: int = 0
    ahead: int = 0
    status_mismatches: int = 0
    payments: int = 0
    declined: int = 0
    under_way: int = 0
    captured: Counter[str] = field(default_factory=Counter)
    refunded: Counter[str] = field(default_factory=Counter)
    price_of_sold: Counter[str] = field(default_factory=Counter)
    money_mismatch: int = 0
    charged_twice: int = 0
    open_intents: int = 0
    compensations: int = 0
    sold_elsewhere: int = 0
    carts: int = 0
    carts_under_way: int = 0
    carts_half_held: int = 0
    locks: int = 0
    locks_left: int = 0
    locks_waiting: int = 0
    rooms: int = 0
    waiting: int = 0
    queues: int = 0
    queued: int = 0
    queues_moving: int = 0
    held_over_limit: int = 0
    purchases: int = 0
    tickets: int = 0
    allocations: int = 0
    slots: int = 0
    unissued: int = 0
    unallocated: int = 0
    issued_twice: int = 0
    foreign: dict[str, Remark] = field(default_factory=dict)
    superseded: dict[str, Remark] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    digest: str = ""

    @property
    def is_at_rest(self) -> bool:
        """Say whether every command was decided and nothing more is to come."""
        under_way = self.under_way + self.carts_under_way + self.locks_waiting
        return not (self.pending or self.ahead or under_way or self.queues_moving)

    @property
    def is_exact(self) -> bool:
        """Say whether everything is as it must be, and nothing is still to come."""
        return self.is_at_rest and not self.violations

    @property
    def verdict(self) -> str:
        """Return "exact", "wrong", or "not at rest": so far all is well, but it is not the end."""
        if self.violations:
            return "wrong"
        return "exact" if self.is_at_rest else "not at rest"

    def take(self, other: "Report") -> None:
        """Add what was found elsewhere behind what was found here; excerpts and digest are not."""
        for each in fields(self):
            own, more = getattr(self, each.name), getattr(other, each.name)
            if isinstance(own, int):
                setattr(self, each.name, own + more)
            elif isinstance(own, Counter):
                own.update(more)
        self.violations += other.violations
        for remarks, more in (
            (self.foreign, other.foreign),
            (self.superseded, other.superseded),
        ):
            for topic, remark in more.items():
                known = remarks.setdefault(topic, replace(remark, count=0))
                known.count += remark.count

    def add(self, violation: Violation) -> None:
        """Note one violation."""
        self.violations.append(violation)

    def first_by_invariant(self) -> dict[str, Violation]:
        """Return the first violation, in log order, of each invariant and anomaly."""
        first: dict[str, Violation] = {}
        for violation in sorted(self.violations, key=lambda one: (one.partition, one.offset)):
            first.setdefault(f"{violation.invariant} {violation.anomaly}", violation)
        return first


@dataclass(frozen=True, slots=True)
class Notes:
    """Where the checks of one partition note what they find."""

    partition: int
    report: Report

    def bad(
        self,
        invariant: str,
        anomaly: str,
        offset: int,
        message: str,
        *,
        reservation_id: str = "",
        section: str = "",
    ) -> None:
        """Note one violation in this partition."""
        self.report.add(
            Violation(invariant, anomaly, self.partition, offset, message, reservation_id, section)
        )

    def foreign(self, topic: str, offset: int, why: str) -> None:
        """Count a record that nobody of ours wrote."""
        self._remark(self.report.foreign, topic, offset, why)

    def superseded(self, topic: str, offset: int, why: str) -> None:
        """Count a value that cannot be read and that a newer one of its key has replaced."""
        self._remark(self.report.superseded, topic, offset, why)

    def _remark(self, remarks: dict[str, Remark], topic: str, offset: int, why: str) -> None:
        known = remarks.setdefault(topic, Remark(0, self.partition, offset, why))
        known.count += 1


def offset_of(outcome_id: str) -> int:
    """Return the offset of the command that an outcome id names, -1 where it names none."""
    parts = outcome_id.split(":")
    return decimal(parts[2]) if len(parts) == 4 else -1


def decimal(text: str) -> int:
    """Return the offset that a text spells, -1 for any other text, whoever wrote it."""
    return int(text) if len(text) <= OFFSET_DIGITS and re.fullmatch("[0-9]+", text) else -1


def differences(want_name: str, want: dict[str, Any], got_name: str, got: dict[str, Any]) -> str:
    """Say which fields differ."""
    if want_name != got_name:
        return f"{got_name} instead of {want_name}"
    parts = [
        f"{name} differ"
        if name == UNSHOWN
        else f"{name} is {got.get(name)!r} instead of {want.get(name)!r}"
        for name in want.keys() | got.keys()
        if want.get(name) != got.get(name)
    ]
    return "; ".join(sorted(parts)) or "equal fields in other bytes"


def excerpt(log: Log, violation: Violation) -> Iterator[str]:
    """Yield the records of the reservation, or else of the section, around the bad offset."""
    wanted = violation.reservation_id or violation.section
    lines: list[tuple[int, str]] = []
    topics = (("command", log.commands), ("outcome", log.outcomes))
    for topic, records in topics if wanted else ():
        for record in records.get(violation.partition, []):
            if record.value is None or wanted.encode() not in record.value:
                continue
            try:
                name, fields = log.wire.decode(record.value)
            except Unreadable:
                continue
            unshown = {"request", UNSHOWN}
            rest = {key: value for key, value in fields.items() if key not in unshown}
            at = offset_of(fields.get("outcomeId", "")) if topic == "outcome" else record.offset
            shown = str(rest)[:160]
            lines.append((at, f"{topic} {violation.partition}:{record.offset} {name} {shown}"))
    lines.sort(key=lambda line: line[0])
    middle = bisect_right([at for at, _ in lines], violation.offset)
    first = max(0, middle - EXCERPT_LINES + 2)
    for _, line in lines[first : first + EXCERPT_LINES]:
        yield line


def as_json(report: Report) -> dict[str, Any]:
    """Return the report without the long list of violations, but the first of each kind."""
    # Not `asdict`: before Python 3.12 it makes a Counter of a Counter's pairs.
    document = {each.name: getattr(report, each.name) for each in fields(report)}
    document["violations"] = len(report.violations)
    document["first"] = {
        name: asdict(violation) for name, violation in report.first_by_invariant().items()
    }
    for name, remarks in (("foreign", report.foreign), ("superseded", report.superseded)):
        document[name] = {topic: asdict(found) for topic, found in remarks.items()}
    document["exact"] = report.is_exact
    document["verdict"] = report.verdict
    return document


def as_text(report: Report) -> list[str]:
    """Return the report as lines for a person."""
    commands = f"{report.commands} commands, {report.duplicate_commands} of them repeated"
    letters = f"{report.dead_letters} dead letters, {report.set_aside} of them readable"
    seats = f"{report.seats} seats in {report.sections} sections"
    counts = f"free {report.free}, held {report.held}, sold {report.sold}"
    lines = [
        f"{commands}; {report.ticks} ticks; {letters}",
        f"{report.outcomes} outcomes; lost {report.lost}, duplicates {report.repeated}",
        f"{seats}: {counts}, blocked {report.blocked}",
        f"sold twice {report.sold_twice}; status unlike state {report.status_mismatches}",
    ]
    lines += money_lines(report) if report.payments else []
    if report.carts:
        halves = f"{report.carts_half_held} of them half held"
        lines.append(f"{report.carts} carts, {halves}; {report.carts_under_way} under way")
    if report.locks:
        waiting = f"{report.locks_waiting} of these may go by themselves"
        lines.append(f"{report.locks} locks, {report.locks_left} of them of no hold; {waiting}")
    if report.rooms:
        lines.append(f"{report.rooms} waiting rooms, in which {report.waiting} wait")
    if report.queues:
        queues = f"{report.queues} booking queues, in which {report.queued} items are not over"
        lines.append(f"{queues}; {report.queues_moving} of them moved meanwhile")
    if report.purchases or report.unissued:
        waiting = f"{report.unissued} orders and {report.unallocated} purchases wait"
        purchases = f"{report.purchases} purchases with {report.tickets} tickets"
        twice = f"issued twice {report.issued_twice}"
        allocated = f"{report.allocations} allocations with {report.slots} slots"
        lines.append(f"{purchases}, {allocated}; {twice}; {waiting}")
    remarks = (
        ("foreign records in", report.foreign),
        ("unreadable and replaced by newer values in", report.superseded),
    )
    for what, by_topic in remarks:
        for topic, found in by_topic.items():
            where = f"partition {found.partition}, offset {found.offset}"
            lines.append(f"{what} {topic}: {found.count}, first at {where}: {found.why}")
    for name, violation in report.first_by_invariant().items():
        where = f"partition {violation.partition}, offset {violation.offset}"
        lines.append(f"{name}: {where}: {violation.message}")
        lines += [f"    {line}" for line in report.excerpts[name]]
    verdict = report.verdict
    if report.violations:
        verdict = f"WRONG, {len(report.violations)} violations"
    if not report.is_at_rest:
        verdict += (
            f"; not at rest: {report.pending} commands wait to be decided, {report.under_way}"
            f" payments and {report.carts_under_way} carts are under way,"
            f" {report.locks_waiting} locks may go by themselves, {report.queues_moving} booking"
            f" queues moved, and {report.ahead}"
            " effects were written meanwhile. Stop the buyers, let the workers finish, try again"
        )
    lines.append(f"verdict: {verdict} (fold {report.digest})")
    return lines


def money_lines(report: Report) -> list[str]:
    """Return what became of the money as lines for a person, one for each currency."""
    line = (
        f"{report.payments} payments: {report.declined} declined, {report.under_way} under way,"
        f" {report.compensations} need a person; charged twice {report.charged_twice};"
        f" money unlike seats {report.money_mismatch}; open intents {report.open_intents};"
        f" sold elsewhere {report.sold_elsewhere}"
    )
    currencies = report.captured.keys() | report.refunded.keys() | report.price_of_sold.keys()
    amounts = [
        f"{currency}: captured {report.captured[currency]}, refunded {report.refunded[currency]},"
        f" price of what is sold {report.price_of_sold[currency]}"
        for currency in sorted(currencies)
    ]
    return [line, *amounts]
