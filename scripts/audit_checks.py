"""A log in, a verdict out: what the oracle expects compared with what lies in the topics.

Two ways to the truth: the oracle folds the commands and every outcome, state and status must be
what it says, byte for byte; and the outcomes are folded on their own, so that a seat sold twice is
seen even if oracle and handlers shared a mistake.
"""

import struct
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import google_crc32c

from scripts.audit_log import Log, LogRecord
from scripts.audit_model import Oracle, Section, places_of
from scripts.audit_schemas import Unreadable

EXCERPT_LINES = 12
CAUSE = "dead-letter-cause"
# Around each changelog value: format (1 byte), due time (8), and behind it the checksum (4).
OVERHEAD_BYTES = 13
STATE_BY_TAG = {
    b"s": "SectionState",
    b"l": "SectionLayout",
    b"b": "BlockedSeats",
    b"r": "Reservation",
    b"p": "Progress",
}
LAYOUT_FIELDS = (
    "layoutVersion",
    "rows",
    "blocked",
    "orphanRule",
    "maxSeatsPerHold",
    "holdMs",
    "maxHoldMs",
    "saleStartsMs",
    "saleEndsMs",
)


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
class Report:
    """The verdict and its figures.

    lost:      outcomes that commands must have and have not, and commands not yet applied.
    lapses:    outcomes that no command asked for: holds whose time was over.
    repeated:  outcomes given once more than the commands explain, byte for byte the same.
    set_aside: readable commands that no worker survived.
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
    status_mismatches: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    digest: str = ""

    @property
    def is_exact(self) -> bool:
        """Say whether everything is as it must be."""
        return not self.violations

    def add(self, violation: Violation) -> None:
        """Note one violation."""
        self.violations.append(violation)

    def first_by_invariant(self) -> dict[str, Violation]:
        """Return the first violation, in log order, of each invariant and anomaly."""
        first: dict[str, Violation] = {}
        for violation in sorted(self.violations, key=lambda one: (one.partition, one.offset)):
            first.setdefault(f"{violation.invariant} {violation.anomaly}", violation)
        return first


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
        self.allow_repeats = allow_repeats
        self.oracle = Oracle("section-commands", partition, log.partitions)
        self.expected: dict[str, list[Expected]] = defaultdict(list)
        self.sequence: list[Expected] = []
        # Name and fields of every outcome that could be read, in order.
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.section_states: list[tuple[LogRecord, dict[str, Any]]] = []
        self.unreadable: dict[int, LogRecord] = {}
        # Records that the worker says it could not survive; and those of them that can be read.
        self.quarantined = {
            origin_of(record)
            for record in log.dead_letters.get(partition, [])
            if (CAUSE, b"QUARANTINED") in record.headers
        }
        self.set_aside: dict[int, LogRecord] = {}
        self.logic_version = 0
        self.command_offsets: set[int] = set()

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

    def run(self, digest: Any) -> None:
        """Fold and compare everything."""
        state = self.fold_changelog()
        progress = self.state_of(b"p", state[b"p"]) if b"p" in state else {"nextOffset": 0}
        next_offset = progress["nextOffset"]
        # Which version of the rules decided is the worker's to say.
        self.logic_version = progress.get("logicVersion", 0)
        self.fold_commands(next_offset, digest)
        self.compare_outcomes()
        self.fold_outcomes()
        self.compare_state(state)
        self.compare_statuses()
        self.compare_dead_letters()

    # Commands.

    def fold_commands(self, next_offset: int, digest: Any) -> None:
        """Let the oracle decide every command below the offset that the state claims."""
        report = self.report
        for record in self.log.commands.get(self.partition, []):
            if record.offset >= next_offset:
                report.pending += 1
                report.lost += 1
                self.bad("I13", "lost write", record.offset, "the command is not applied")
                continue
            self.command_offsets.add(record.offset)
            command = None
            if record.value is None:
                report.ignored += 1
            else:
                try:
                    command = self.log.wire.decode(record.value)
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
            self.bad("I1", "lost write", offset, "the oracle's own counts do not add up")

    # Outcomes.

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
                    name, fields = self.log.wire.decode(value)
                except Unreadable as error:
                    self.bad("I8", "unreadable outcome", record.offset, str(error))
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
                self.bad(
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
                self.bad(
                    "I4" if "seats" in difference else "I8",
                    "wrong outcome",
                    offset_of(outcome_id),
                    f"{outcome_id}: {difference}",
                    **where,
                )
            elif record.key != first.key:
                self.bad(
                    "I8", "wrong key", first.trigger, f"{outcome_id}: {record.key!r}", **where
                )
            if turn >= len(expected):
                report.repeated += 1
                if not self.allow_repeats:
                    self.bad(
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
                self.bad("I19", "reordered", trigger, f"{outcome_id} follows a later one", **where)
            last_trigger = max(last_trigger, trigger)
        for outcome_id, expected in self.expected.items():
            report.distinct_outcomes += 1
            report.duplicate_commands += len(expected) - 1
            missing = len(expected) - seen[outcome_id]
            if missing > 0:
                report.lost += missing
                one = expected[seen[outcome_id]]
                self.bad(
                    "I8",
                    "lost write",
                    one.trigger,
                    f"{one.name} {outcome_id} is missing",
                    reservation_id=one.key.decode(),
                    section=one.fields["request"]["section"],
                )

    def fold_outcomes(self) -> None:
        """Follow seats and reservations through the outcomes alone."""
        holders: dict[tuple[str, int, int], str] = {}
        status: dict[str, tuple[str, int]] = {}
        sold: set[tuple[str, int, int]] = set()
        versions: dict[str, int] = {}
        windows: dict[str, tuple[int, int]] = {}
        seen: set[str] = set()
        for name, fields in self.found:
            if fields["outcomeId"] in seen:
                continue
            seen.add(fields["outcomeId"])
            request = fields["request"]
            section = f"{request['eventId']}-{request['section']}"
            reservation = request["reservationId"]
            where = {"reservation_id": reservation, "section": request["section"]}
            at = offset_of(fields["outcomeId"])
            before = status.get(reservation, ("", 0))
            seats = {(section, row, seat) for row, seat in places_of(fields.get("seats", []))}
            mine = {seat for seat in seats if holders.get(seat) == reservation}
            epoch = fields.get("epoch", 0)
            changes = True
            if name == "SeatsHeld":
                self.check_taken(seats, holders, at, where)
                legal = before[0] == ""
                holders.update(dict.fromkeys(seats, reservation))
                status[reservation] = ("HELD", epoch)
            elif name == "ReservationConfirmed":
                legal = before == (
                    ("LAPSED", epoch - 1) if fields["reacquired"] else ("HELD", epoch)
                )
                if fields["reacquired"]:
                    self.check_taken(seats, holders, at, where)
                elif mine != seats:
                    self.bad("I4", "torn reservation", at, "sells seats that it has not", **where)
                twice = seats & sold
                self.report.sold_twice += len(twice)
                if twice:
                    self.bad("I3", "sold twice", at, f"{sorted(twice)}", **where)
                sold |= seats
                holders.update(dict.fromkeys(seats, reservation))
                status[reservation] = ("SOLD", epoch)
            elif name == "ReservationReleased":
                changes = epoch > 0
                legal = before == (("HELD", epoch) if epoch else ("", 0))
                if mine != seats:
                    self.bad("I4", "torn reservation", at, "frees seats that it has not", **where)
                for seat in mine:
                    del holders[seat]
                status[reservation] = (fields["cause"], epoch)
            elif name == "HoldExtended":
                legal, changes = before == ("HELD", epoch), False
            elif name == "ReservationRejected":
                # A record that went astray is refused, whatever the reservation is elsewhere.
                astray = fields["reason"] in {"KEY_MISMATCH", "WRONG_PARTITION"}
                legal, changes = astray or before[0] in {"", "CANCELLED"}, False
                if not astray:
                    status.setdefault(reservation, ("REJECTED", 0))
            else:
                legal = True
                changes = name in {"SeatsBlocked", "SeatsUnblocked"}
                if name == "SectionOpened":
                    changes = section not in versions
                elif name == "SeatsBlocked":
                    self.check_taken(seats, holders, at, where)
                    holders.update(dict.fromkeys(seats, ""))
                elif name == "SaleWindowChanged":
                    window = fields["saleStartsMs"], fields["saleEndsMs"]
                    # No outcome tells with which window a section was opened.
                    changes = (
                        window != windows[section]
                        if section in windows
                        else fields["version"] != versions.get(section)
                    )
                    windows[section] = window
                elif name == "SeatsUnblocked":
                    for seat in seats:
                        holders.pop(seat, None)
            if not legal:
                self.bad(
                    "I7", "illegal transition", at, f"{before[0] or 'none'} to {name}", **where
                )
            known = versions.get(section)
            if changes and known is not None and fields["version"] != known + 1:
                self.bad(
                    "I5",
                    "version gap",
                    at,
                    f"version {fields['version']} follows {known}",
                    **where,
                )
            if changes:
                versions[section] = fields["version"]
            self.check_exists(seats, at, where)

    def check_taken(
        self,
        seats: set[tuple[str, int, int]],
        holders: dict[tuple[str, int, int], str],
        at: int,
        where: dict[str, str],
    ) -> None:
        """Note seats that somebody else has at this moment."""
        taken = seats & holders.keys()
        if taken:
            self.bad("I3", "two holders", at, f"{sorted(taken)} are taken already", **where)

    def check_exists(
        self, seats: set[tuple[str, int, int]], at: int, where: dict[str, str]
    ) -> None:
        """Note seats that no layout has."""
        for name, row, seat in seats:
            event_id, _, section_id = name.partition("-")
            section = self.oracle.sections.get((int(event_id), section_id))
            if section is None or not section.exists((row, seat)):
                self.bad("I2", "unknown seat", at, f"row {row}, seat {seat} of {name}", **where)

    # State.

    def fold_changelog(self) -> dict[bytes, bytes]:
        """Return the last value of each key; check each value on the way."""
        last: dict[bytes, bytes] = {}
        highest: dict[bytes, int] = {}
        for record in self.log.changelog.get(self.partition, []):
            key, value = record.key or b"", record.value
            if value is None:
                last.pop(key, None)
                continue
            try:
                check_envelope(value)
                last[key] = value
                if key[:1] not in {b"s", b"p"}:
                    continue
                fields = self.state_of(key, value)
            except Unreadable as error:
                self.bad("I14", "corrupt value", record.offset, f"{key!r}: {error}")
                continue
            version = fields["version" if key[:1] == b"s" else "nextOffset"]
            if version < highest.get(key, version):
                self.bad("I14", "stale restore", record.offset, f"{key!r} goes back to {version}")
            highest[key] = version
            if key[:1] == b"s":
                self.section_states.append((record, fields))
        return last

    def state_of(self, key: bytes, value: bytes) -> dict[str, Any]:
        """Return the fields of a state record, its due time among them."""
        name = STATE_BY_TAG.get(key[:1])
        if name is None:
            raise Unreadable("a store that nobody knows")
        due_ms = int.from_bytes(value[1:9], "big")
        return self.avro.decode(name, value[9:-4]) | {"due_ms": due_ms}

    def compare_state(self, state: dict[bytes, bytes]) -> None:
        """Compare the changelog's last values, and each section state on the way."""
        expected = self.expected_state()
        for key in expected.keys() | state.keys():
            value, want = state.get(key), expected.get(key)
            offset = self.oracle.next_offset - 1
            is_reservation = key[:1] == b"r"
            where = {"reservation_id": key[1:].decode(errors="replace") if is_reservation else ""}
            if value is None:
                self.bad("I13", "lost write", offset, f"changelog lacks {key!r}", **where)
                continue
            if want is None:
                self.bad("I14", "phantom state", offset, f"changelog has {key!r}", **where)
                continue
            due_ms = want.pop("due_ms")
            body = self.avro.encode(STATE_BY_TAG[key[:1]], want)
            if value[9:-4] == body and int.from_bytes(value[1:9], "big") == due_ms:
                continue
            want["due_ms"] = due_ms
            try:
                difference = differences("", want, "", self.state_of(key, value))
            except Unreadable as error:
                difference = str(error)
            self.bad("I14", "wrong state", offset, f"{key!r}: {difference}", **where)
        for record, fields in self.section_states:
            section_of = self.oracle.sections.get((fields["eventId"], fields["section"]))
            if section_of is None:
                continue
            counts = (
                fields["changedAtMs"],
                fields["version"],
                free_bits(fields["free"]),
                fields["heldCount"],
            )
            found = section_of.history_by_offset.get(fields["appliedOffset"])
            if found is None or found[:4] != counts:
                self.bad(
                    "I13",
                    "wrong state",
                    fields["appliedOffset"],
                    f"section state at changelog offset {record.offset}: {counts} for {found}",
                    section=fields["section"],
                )

    def expected_state(self) -> dict[bytes, dict[str, Any]]:
        """Return what the changelog must say, by key."""
        oracle = self.oracle
        expected: dict[bytes, dict[str, Any]] = {}
        if self.command_offsets:
            expected[b"p"] = {
                "nextOffset": oracle.next_offset,
                "logTimeMs": oracle.log_time_ms,
                "timerMs": oracle.timer_ms,
                "logicVersion": self.logic_version,
                "due_ms": 0,
            }
        report = self.report
        for (event_id, name), section in oracle.sections.items():
            key = f"{event_id}-{name}".encode()
            report.sections += 1
            report.seats += section.seat_count
            report.free += section.free
            report.held += section.held
            report.sold += section.sold
            report.blocked += section.blocked
            expected[b"s" + key] = {
                "eventId": event_id,
                "section": name,
                "layoutVersion": section.opened["layoutVersion"],
                "version": section.version,
                "appliedOffset": section.applied[0],
                "changedAtMs": section.applied[1],
                "heldCount": section.held,
                "soldCount": section.sold,
                "blockedCount": section.blocked,
                "free": section.bitmap(None),
                "due_ms": 0,
            }
            expected[b"l" + key] = {field: section.opened[field] for field in LAYOUT_FIELDS} | {
                "openedBy": section.opened["request"],
                "due_ms": 0,
            }
            if section.ever_blocked:
                expected[b"b" + key] = {"blocked": section.bitmap(""), "due_ms": 0}
        for reservation_id, held in oracle.reservations.items():
            due_ms = held.deadline_ms if held.record["status"] == "HELD" else 0
            expected[b"r" + reservation_id.encode()] = held.record | {"due_ms": due_ms}
        return expected

    def compare_statuses(self) -> None:
        """Each status is the section as it was at one moment, in order, and the last as it is."""
        last: dict[tuple[int, str], tuple[int, ...]] = {}
        at: dict[tuple[int, str], int] = {}
        for record in self.log.statuses.get(self.partition, []):
            try:
                _, fields = self.log.wire.decode(record.value or b"")
            except Unreadable as error:
                self.mismatch("I18", "unreadable status", record.offset, str(error), "")
                continue
            where = (fields["eventId"], fields["section"])
            section = self.oracle.sections.get(where)
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
            if last.get(where) != now:
                self.mismatch(
                    "I18",
                    "status is not the state",
                    section.applied[0],
                    f"{where[1]}: last status {last.get(where)}, state {now}",
                    where[1],
                )

    def mismatch(
        self, invariant: str, anomaly: str, offset: int, message: str, section: str
    ) -> None:
        """Note a status that is not the state."""
        self.report.status_mismatches += 1
        self.bad(invariant, anomaly, offset, message, section=section)

    def compare_dead_letters(self) -> None:
        """What nobody can read or survive is a dead letter, once and byte for byte."""
        origins: dict[int, list[LogRecord]] = defaultdict(list)
        for record in self.log.dead_letters.get(self.partition, []):
            self.report.dead_letters += 1
            origins[origin_of(record)].append(record)
        for offset, original in (self.unreadable | self.set_aside).items():
            copies = origins.pop(offset, [])
            if len(copies) != 1:
                self.bad(
                    "I23",
                    "lost write" if not copies else "duplicate effect",
                    offset,
                    f"{len(copies)} dead letters for a command that must have one",
                )
            elif (copies[0].key, copies[0].value) != (original.key, original.value):
                self.bad("I23", "torn dead letter", offset, "key or value is not the original's")
        for offset, copies in origins.items():
            self.bad("I23", "phantom dead letter", offset, f"{len(copies)} for a readable command")


def check_envelope(value: bytes) -> None:
    """Raise Unreadable unless a changelog value is as it was written."""
    body, checksum = value[:-4], value[-4:]
    if len(value) < OVERHEAD_BYTES or struct.pack(">I", google_crc32c.value(body)) != checksum:
        raise Unreadable("checksum mismatch")
    if value[0] != 1:
        raise Unreadable(f"format {value[0]}")


def origin_of(record: LogRecord) -> int:
    """Return the offset that a dead letter says it had, -1 where it does not say."""
    for name, value in record.headers:
        if name == "dead-letter-offset" and value.isdigit():
            return int(value)
    return -1


def offset_of(outcome_id: str) -> int:
    """Return the offset of the command that an outcome id names, -1 where it names none."""
    parts = outcome_id.split(":")
    return int(parts[2]) if len(parts) == 4 and parts[2].isdigit() else -1


def free_bits(bitmap: bytes) -> int:
    """Count the ones."""
    return int.from_bytes(bitmap, "big").bit_count()


def differences(want_name: str, want: dict[str, Any], got_name: str, got: dict[str, Any]) -> str:
    """Say which fields differ."""
    if want_name != got_name:
        return f"{got_name} instead of {want_name}"
    parts = [
        f"{name} is {got.get(name)!r} instead of {want.get(name)!r}"
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
            rest = {key: value for key, value in fields.items() if key != "request"}
            at = offset_of(fields.get("outcomeId", "")) if topic == "outcome" else record.offset
            shown = str(rest)[:160]
            lines.append((at, f"{topic} {violation.partition}:{record.offset} {name} {shown}"))
    lines.sort(key=lambda line: line[0])
    middle = bisect_right([at for at, _ in lines], violation.offset)
    first = max(0, middle - EXCERPT_LINES + 2)
    for _, line in lines[first : first + EXCERPT_LINES]:
        yield line
