"""A log in, a verdict out: what the oracle expects compared with what lies in the topics.

Two ways to the truth: the oracle folds the commands and every outcome, state and status must be
what it says, byte for byte; and the outcomes are folded on their own, so that a seat sold twice is
seen even if oracle and handlers shared a mistake.
"""

from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from schemas.topics import (
    DEAD_LETTER_QUEUE,
    RESERVATION_OUTCOMES,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from scripts.auditing.fold import OutcomeFold
from scripts.auditing.log import Log, LogRecord
from scripts.auditing.model import Oracle
from scripts.auditing.report import Notes, Report, decimal, differences, excerpt, offset_of
from scripts.auditing.schemas import Unreadable
from scripts.auditing.seats import Section
from scripts.auditing.states import StateAudit

HEADERS_MAX, HEADERS_BYTES_MAX = 100, 64 * 1024
CAUSE = "dead-letter-cause"


@dataclass(slots=True)
class Traces:
    """What an audit comes across that is to be compared with what clients were told.

    wanted:   reservation ids.
    commands: of a wanted id: offset and fields of each, in log order.
    outcomes: of a wanted id: name and fields by outcome id, in the order of the topic.
    sections: as the oracle left them, by event and section.
    """

    wanted: AbstractSet[str]
    commands: dict[str, list[tuple[int, dict[str, Any]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    outcomes: dict[str, dict[str, tuple[str, dict[str, Any]]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    sections: dict[tuple[int, str], Section] = field(default_factory=dict)


def audit(log: Log, *, allow_repeats: bool = False, traces: Traces | None = None) -> Report:
    """Judge a log that is at rest.

    allow_repeats: the group was rewound, so outcomes may come again, byte for byte.
    traces:        filled on the way.
    """
    report = Report()
    digest = sha256()
    for partition in range(log.partitions):
        judge = PartitionAudit(log, partition, report, allow_repeats=allow_repeats, traces=traces)
        judge.run(digest)
        if traces is not None:
            traces.sections |= judge.oracle.sections
    report.digest = digest.hexdigest()[:16]
    for name, violation in report.first_by_invariant().items():
        report.excerpts[name] = list(excerpt(log, violation))
    return report


@dataclass(frozen=True, slots=True)
class Expected:
    """An outcome that one command must have led to.

    turn:    its place among all outcomes of the partition.
    trigger: offset of the command.
    """

    turn: int
    trigger: int
    key: bytes
    name: str
    fields: dict[str, Any]
    body: bytes


class PartitionAudit:
    """All checks of one partition."""

    def __init__(
        self,
        log: Log,
        partition: int,
        report: Report,
        *,
        allow_repeats: bool,
        traces: Traces | None = None,
    ) -> None:
        self.log = log
        self.traces = traces or Traces(frozenset())
        self.avro = log.wire.avro
        self.partition = partition
        self.report = report
        self.notes = Notes(partition, report)
        self.allow_repeats = allow_repeats
        self.oracle = Oracle("section-commands", partition, log.partitions)
        self.expected: dict[str, list[Expected]] = defaultdict(list)
        self.sequence: list[Expected] = []
        # Name and fields of every outcome that could be read, in order.
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.unreadable: dict[int, LogRecord] = {}
        # Records that the worker says it could not survive; and those of them that can be read.
        self.quarantined = {
            origin_of(record, partition)
            for record in log.dead_letters.get(partition, [])
            if dict(record.headers).get(CAUSE) == b"QUARANTINED"
        }
        # How far the state went when it was read; what lies behind it may have effects that
        # were written since, and None of them where the state was not written since either.
        self.read_to: int | None = None
        self.set_aside: dict[int, LogRecord] = {}

    def run(self, digest: Any) -> None:
        """Fold and compare everything."""
        state = StateAudit(self.avro, self.notes, self.log.partitions)
        state.fold(self.log.changelog.get(self.partition, []))
        next_offset = state.progress()["nextOffset"]
        if self.partition in self.log.moved:
            self.read_to = next_offset
        self.check_timeline(next_offset)
        self.fold_commands(next_offset, digest)
        self.compare_outcomes()
        OutcomeFold(self.oracle, self.notes).follow(self.found)
        state.compare(self.oracle)
        self.count_sections()
        self.compare_statuses()
        self.compare_dead_letters()

    # Commands.

    def check_timeline(self, next_offset: int) -> None:
        """Neither state nor group can be further than the log of commands goes."""
        records = self.log.commands.get(self.partition, [])
        end = self.log.ends.get(self.partition, records[-1].offset + 1 if records else 0)
        for whose, offset in (
            ("the state", next_offset),
            ("the group", self.log.committed.get(self.partition, 0)),
        ):
            if offset > end:
                self.notes.bad(
                    "I14",
                    "other timeline",
                    end,
                    f"{whose} is at offset {offset}, and the commands end at {end}",
                )

    def is_nothing_to_decide(self, record: LogRecord) -> bool:
        """Say whether a record may stay undecided: a tick, or none at all, loses nothing."""
        return record.value is None or self.log.wire.name_of(record.value) == "Tick"

    def leave_undecided(self, record: LogRecord) -> None:
        """Count a command that the state does not have."""
        if self.is_nothing_to_decide(record):
            return
        if record.offset < self.log.committed.get(self.partition, 0):
            self.report.lost += 1
            self.notes.bad("I13", "lost write", record.offset, "committed, and not applied")
        else:
            self.report.pending += 1

    def fold_commands(self, next_offset: int, digest: Any) -> None:
        """Let the oracle decide every command below the offset that the state claims."""
        report = self.report
        for record in self.log.commands.get(self.partition, []):
            if record.offset >= next_offset:
                self.leave_undecided(record)
                continue
            command = None
            if record.value is None:
                report.ignored += 1
            else:
                try:
                    judge_headers(record)
                    command = self.log.wire.decode(record.value, SECTION_COMMANDS)
                except Unreadable:
                    self.unreadable[record.offset] = record
            if command is not None and command[0] == "Tick":
                report.ticks += 1
            elif command is not None:
                report.commands += 1
                reservation_id = command[1]["request"]["reservationId"]
                if reservation_id in self.traces.wanted:
                    self.traces.commands[reservation_id].append((record.offset, command[1]))
            set_aside = record.offset in self.quarantined
            if set_aside and command is not None:
                report.set_aside += 1
                self.set_aside[record.offset] = record
            outcomes = self.oracle.apply(
                record.offset, record.timestamp, record.key, command, set_aside=set_aside
            )
            for name, fields in outcomes:
                body = self.avro.encode(name, fields)
                digest.update(body)
                expected = Expected(
                    len(self.sequence),
                    record.offset,
                    fields["request"]["reservationId"].encode(),
                    name,
                    fields,
                    body,
                )
                self.sequence.append(expected)
                self.expected[fields["outcomeId"]].append(expected)
            for section in self.oracle.touched_sections():
                self.recount(section, record.offset)

    def recount(self, section: Section, offset: int) -> None:
        """Count a section's seats one by one: the oracle is not above suspicion either."""
        total = section.free + section.held + section.sold + section.blocked
        if (
            total != section.seat_count
            or min(section.free, section.held, section.sold, section.blocked) < 0
        ):
            self.notes.bad("I1", "lost write", offset, "the oracle's own counts do not add up")

    def count_sections(self) -> None:
        """Add what the sections have to the figures."""
        report = self.report
        for section in self.oracle.sections.values():
            report.sections += 1
            report.seats += section.seat_count
            report.free += section.free
            report.held += section.held
            report.sold += section.sold
            report.blocked += section.blocked

    # Outcomes.

    def is_ahead(self, trigger: int) -> bool:
        """Count an effect of a command that was decided after the state was read."""
        if self.read_to is None or trigger < self.read_to:
            return False
        self.report.ahead += 1
        return True

    def compare_outcomes(self) -> None:
        """Each expected outcome as often as expected, byte for byte, and no other."""
        report = self.report
        seen: dict[str, int] = defaultdict(int)
        last_trigger = -1
        turn_now = 0
        for record in self.log.outcomes.get(self.partition, []):
            report.outcomes += 1
            value = record.value or b""
            usual = self.sequence[turn_now] if turn_now < len(self.sequence) else None
            # Bytes that are those expected next need no decoding.
            if usual and value[5:] == usual.body and self.log.wire.name_of(value) == usual.name:
                name, fields = usual.name, usual.fields
                turn_now += 1
            else:
                try:
                    name, fields = self.log.wire.decode(value, RESERVATION_OUTCOMES)
                except Unreadable as error:
                    # If it was ours once, the outcome that is missing now is told of below.
                    self.notes.foreign(RESERVATION_OUTCOMES.name, record.offset, str(error))
                    continue
                if self.is_ahead(offset_of(fields["outcomeId"])):
                    continue
                others = self.expected.get(fields["outcomeId"], [])
                if seen[fields["outcomeId"]] < len(others):
                    turn_now = others[seen[fields["outcomeId"]]].turn + 1
            self.found.append((name, fields))
            outcome_id = fields["outcomeId"]
            if fields["request"]["reservationId"] in self.traces.wanted:
                told = self.traces.outcomes[fields["request"]["reservationId"]]
                told.setdefault(outcome_id, (name, fields))
            where = {
                "reservation_id": fields["request"]["reservationId"],
                "section": fields["request"]["section"],
            }
            expected = self.expected.get(outcome_id)
            if expected is None:
                self.notes.bad(
                    "I8",
                    "phantom outcome",
                    offset_of(outcome_id),
                    f"outcome {outcome_id} at offset {record.offset} belongs to no command",
                    **where,
                )
                continue
            turn = seen[outcome_id]
            # A release that comes after the lapse is answered with it once more.
            report.lapses += turn == 0 and not outcome_id.endswith(":0")
            seen[outcome_id] += 1
            first = expected[0]
            if name != first.name or value[5:] != first.body:
                difference = differences(first.name, first.fields, name, fields)
                self.notes.bad(
                    "I4" if "seats" in difference else "I8",
                    "wrong outcome",
                    offset_of(outcome_id),
                    f"{outcome_id}: {difference}",
                    **where,
                )
            elif record.key != first.key:
                self.notes.bad(
                    "I8", "wrong key", first.trigger, f"{outcome_id}: {record.key!r}", **where
                )
            if turn >= len(expected):
                report.repeated += 1
                if not self.allow_repeats:
                    self.notes.bad(
                        "I8",
                        "duplicate effect",
                        first.trigger,
                        f"outcome {outcome_id} is there {turn + 1} times,"
                        f" commands explain {len(expected)}",
                        **where,
                    )
                continue
            report.reasons[fields.get("reason") or name] += 1
            trigger = expected[turn].trigger
            if trigger < last_trigger:
                self.notes.bad(
                    "I19", "reordered", trigger, f"{outcome_id} follows a later one", **where
                )
            last_trigger = max(last_trigger, trigger)
        for outcome_id, expected in self.expected.items():
            report.distinct_outcomes += 1
            report.duplicate_commands += len(expected) - 1
            missing = len(expected) - seen[outcome_id]
            if missing > 0:
                report.lost += missing
                one = expected[seen[outcome_id]]
                self.notes.bad(
                    "I8",
                    "lost write",
                    one.trigger,
                    f"{one.name} {outcome_id} is missing",
                    reservation_id=one.key.decode(),
                    section=one.fields["request"]["section"],
                )

    def compare_statuses(self) -> None:
        """Each status is the section as it was at one moment, in order, and the last as it is."""
        last: dict[tuple[int, str], tuple[int, ...]] = {}
        at: dict[tuple[int, str], int] = {}
        ahead: set[tuple[int, str]] = set()
        for record in self.log.statuses.get(self.partition, []):
            try:
                _, fields = self.log.wire.decode(record.value or b"", SECTION_STATUS)
            except Unreadable as error:
                self.notes.foreign(SECTION_STATUS.name, record.offset, str(error))
                continue
            where = (fields["eventId"], fields["section"])
            section = self.oracle.sections.get(where)
            if self.read_to is not None and (
                section is None
                or fields["version"] > section.version
                or fields["timestamp"] > section.applied[1]
            ):
                self.report.ahead += 1
                ahead.add(where)
                continue
            counts = (
                fields["timestamp"],
                fields["version"],
                fields["availableCount"],
                fields["heldCount"],
                fields["largestBlock"],
            )
            if record.key != f"{where[0]}-{where[1]}".encode():
                self.mismatch("I18", "wrong key", record.offset, f"{record.key!r}", where[1])
            if section is None:
                self.mismatch("I18", "phantom status", record.offset, f"{where}", where[1])
                continue
            try:
                at[where] = section.history.index(counts, at.get(where, 0))
            except ValueError:
                previous = last.get(where)
                older = previous is not None and counts[1] < previous[1]
                self.mismatch(
                    "I16" if older else "I18",
                    "non-monotonic read" if older else "wrong status",
                    record.offset,
                    f"{where[1]}: (time, version, free, held, largest block) {counts}"
                    " was never so at that point",
                    where[1],
                )
            last[where] = counts
        for where, section in self.oracle.sections.items():
            now = section.history[-1]
            if last.get(where) != now and where not in ahead:
                self.mismatch(
                    "I18",
                    "status is not the state" if where in last else "missing status",
                    section.applied[0],
                    f"{where[1]}: last status {last.get(where)}, state {now}",
                    where[1],
                )

    def mismatch(
        self, invariant: str, anomaly: str, offset: int, message: str, section: str
    ) -> None:
        """Note a status that is not the state."""
        self.report.status_mismatches += 1
        self.notes.bad(invariant, anomaly, offset, message, section=section)

    def compare_dead_letters(self) -> None:
        """What nobody can read or survive is a dead letter, once and byte for byte."""
        origins: dict[int, list[LogRecord]] = defaultdict(list)
        for record in self.log.dead_letters.get(self.partition, []):
            origin = origin_of(record, self.partition)
            if origin < 0:
                why = "its headers do not name a command of this partition"
                self.notes.foreign(DEAD_LETTER_QUEUE.name, record.offset, why)
            elif not self.is_ahead(origin):
                self.report.dead_letters += 1
                origins[origin].append(record)
        for offset, original in (self.unreadable | self.set_aside).items():
            copies = origins.pop(offset, [])
            if len(copies) != 1:
                self.notes.bad(
                    "I23",
                    "lost write" if not copies else "duplicate effect",
                    offset,
                    f"{len(copies)} dead letters for a command that must have one",
                )
            elif (copies[0].key, copies[0].value) != (original.key, original.value):
                self.notes.bad(
                    "I23", "torn dead letter", offset, "key or value is not the original's"
                )
        for offset, copies in origins.items():
            self.notes.bad(
                "I23", "phantom dead letter", offset, f"{len(copies)} for a readable command"
            )


def judge_headers(record: LogRecord) -> None:
    """Raise Unreadable where a record has more headers, or larger ones, than a worker takes."""
    size = sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    if len(record.headers) > HEADERS_MAX or size > HEADERS_BYTES_MAX:
        raise Unreadable(f"{len(record.headers)} headers of {size} bytes")


def origin_of(record: LogRecord, partition: int) -> int:
    """Return the offset of the command that a dead letter says to be, -1 where it says none."""
    # Ours lie behind those of the original, which may have the same names.
    said = dict(record.headers)
    if said.get("dead-letter-topic") != SECTION_COMMANDS.name.encode():
        return -1
    if said.get("dead-letter-partition") != str(partition).encode():
        return -1
    return decimal((said.get("dead-letter-offset") or b"").decode(errors="replace"))
