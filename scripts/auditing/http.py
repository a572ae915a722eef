"""What clients were told over HTTP compared with the log: was every answer true when it was given?

    I18  counts once were so, never go back, are no older than they say, and end as the state
    I19  whatever was answered before a request began comes before it in the log, and is in its
         answer
    I20  an ok has its event, what is unknown has none or one, what was refused has none

Shares only the schemas with pods and workers, as the rest of the audit does.
"""

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.auditing.facts import Traces
from scripts.auditing.http_history import Act, Exchange, History, Kind
from scripts.auditing.http_payments import ACTS, STATUS_AFTER, PaymentAnswers
from scripts.auditing.oracle.keys import partition_of
from scripts.auditing.oracle.seats import Section, places_of
from scripts.auditing.report import offset_of

Where = tuple[int, str]  # event, section
Answer = dict[str, Any]
Fields = dict[str, Any]

# Which outcomes an act is answered with when all is well.
OUTCOME_OF = {
    Act.RESERVE: {"SeatsHeld"},
    Act.EXTEND: {"HoldExtended"},
    Act.RELEASE: {"ReservationReleased"},
    Act.SHOW: STATUS_AFTER.keys(),
}
REFUSALS = {"ReservationRejected", "CommandRefused"}
# These are said by the pod or by the log, and name no outcome.
UNNAMED = {"UNKNOWN_RESERVATION", "FORBIDDEN", "IDEMPOTENCY_KEY_REUSED"}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One answer that cannot have been true. invariant: I18 ...; anomaly: the kind of fault."""

    invariant: str
    anomaly: str
    message: str


@dataclass(slots=True)
class HttpReport:
    """The verdict on all answers, and its figures.

    wrong_refusals:  requests refused from memory that the section could have fulfilled.
    stale_answers:   looks that said themselves to be stale.
    view_mismatches: sections that the pod knew otherwise than they were, at rest.
    """

    requests: int = 0
    ok: int = 0
    refused: int = 0
    pending: int = 0
    refused_from_memory: int = 0
    wrong_refusals: int = 0
    stale_answers: int = 0
    view_mismatches: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    disagreements: list[Disagreement] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """Say whether every answer was true."""
        return not (self.disagreements or self.wrong_refusals or self.view_mismatches)


class Before:
    """The highest of the values that were told before a moment; -1 for none."""

    def __init__(self, told: Iterable[tuple[int, int]]) -> None:
        self._times: list[int] = []
        self._highest: list[int] = []
        for at, value in sorted(told):
            self._times.append(at)
            self._highest.append(max(value, self._highest[-1] if self._highest else -1))

    def at(self, moment: int) -> int:
        index = bisect_left(self._times, moment)
        return self._highest[index - 1] if index else -1


NEVER = Before(())


def reservation_ids(history: History, partitions: int) -> frozenset[str]:
    """Return every id that a client of this history can have been given."""
    own = {reservation_id(one, partitions) for one in history.exchanges}
    parts = {part for one in history.exchanges for part in part_ids(one)}
    return frozenset(own | parts) - {""}


def part_ids(one: Exchange) -> list[str]:
    """Return the ids of the parts that an answer about a cart tells of, in their order."""
    answer = one.document() if one.act is Act.CART else {}
    return [f"{answer['cart_id']}_{number}" for number in range(len(answer.get("parts", ())))]


def reservation_id(one: Exchange, partitions: int) -> str:
    """Return the id that a request concerns; it follows from user, key and section."""
    if one.act is not Act.RESERVE:
        return one.reservation_id
    section_key = f"{one.event_id}-{one.section}".encode()
    return f"{one.stem}-{partition_of(section_key, partitions)}"


def audit_http(history: History, traces: Traces, partitions: int) -> HttpReport:
    """Judge a history; `traces` are of an audit that wanted its `reservation_ids`."""
    return HttpAudit(history, traces, partitions).run()


class HttpAudit:
    """All checks of one history."""

    def __init__(self, history: History, traces: Traces, partitions: int) -> None:
        self.history = history
        self.traces = traces
        self.partitions = partitions
        self.report = HttpReport()
        self.answers = [(one, one.document()) for one in history.exchanges]
        self.counts: dict[Where, set[tuple[int, ...]]] = {}
        self.by_version: dict[Where, dict[int, tuple[int, int]]] = {}
        visible: dict[Where, list[tuple[int, int]]] = defaultdict(list)
        for seen in history.sightings:
            visible[seen.event_id, seen.section].append((seen.seen_ns, seen.version))
        looked: dict[Where, list[tuple[int, int]]] = defaultdict(list)
        decided: dict[Where, list[tuple[int, int]]] = defaultdict(list)
        stands: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for one, answer in self.answers:
            if one.act is Act.LOOK and one.kind(answer) is Kind.OK:
                for entry in answer.get("sections", ()):
                    pair = (one.returned_ns, entry["version"])
                    looked[one.event_id, entry["section"]].append(pair)
            elif "outcome_id" in answer:
                subject = reservation_id(one, partitions)
                stands[subject].append((one.returned_ns, self.rank(subject, answer)))
                if one.act is not Act.SHOW:
                    pair = (one.returned_ns, offset_of(answer["outcome_id"]))
                    decided[one.event_id, one.section].append(pair)
        for where, pairs in looked.items():
            # What a pod has shown was there to be seen, by that pod too.
            visible[where] += pairs
        self.visible = {where: Before(pairs) for where, pairs in visible.items()}
        self.decided = {where: Before(pairs) for where, pairs in decided.items()}
        self.stands = {subject: Before(pairs) for subject, pairs in stands.items()}
        self.looked = {where: Before(pairs) for where, pairs in looked.items()}

    def run(self) -> HttpReport:
        """Judge every answer."""
        report, payments = self.report, PaymentAnswers(self.answers, self.traces, self.bad)
        for one, answer in self.answers:
            kind = one.kind(answer)
            report.requests += 1
            report.ok += kind is Kind.OK
            report.refused += kind is Kind.REFUSED
            report.pending += kind is Kind.PENDING
            if not one.waits:
                report.latencies_ms.append(one.latency_ms)
            if one.status == 500 or (one.status and not answer):
                self.bad("I20", "unreadable answer", one, f"{one.status}: {one.body[:100]!r}")
            elif one.act in ACTS and kind is not Kind.REFUSED:
                payments.check(one, answer)
            elif kind is Kind.OK and one.act is Act.LOOK:
                self.check_look(one, answer)
            elif one.act is Act.CART:
                # A refusal is that of its first part, and names no outcome.
                self.check_cart(one, answer)
            elif kind is Kind.OK:
                self.check_ok(one, answer)
            elif kind is Kind.REFUSED:
                self.check_refused(one, answer)
                payments.check_refused(one, answer)
            if one.act is not Act.LOOK:
                self.check_appended(one, answer, kind)
        payments.check_starts(self.decided)
        report.latencies_ms.sort()
        if self.history.final_view:
            report.view_mismatches = sum(1 for _ in self.differing_sections())
        return report

    def bad(self, invariant: str, anomaly: str, one: Exchange, message: str) -> None:
        """Note one answer that cannot have been true."""
        subject = reservation_id(one, self.partitions) or one.section
        text = f"{one.act.value} of {one.user}, {subject}: {message}"
        self.report.disagreements.append(Disagreement(invariant, anomaly, text))

    # Looks.

    def check_look(self, one: Exchange, answer: Answer) -> None:
        """Counts were so at one moment, and it was late enough."""
        self.report.stale_answers += answer["stale"]
        as_of_ns = one.invoked_ns - answer["staleness_ms"] * 1_000_000
        for entry in answer["sections"]:
            where, version = (one.event_id, entry["section"]), entry["version"]
            told = f"{where[1]} at version {version}"
            if counts_in(entry) not in self.counts_of(where):
                self.bad("I18", "phantom counts", one, f"{told} never was so: {entry}")
            seen = self.looked[where].at(one.invoked_ns)
            if version < seen:
                self.bad("I18", "non-monotonic read", one, f"{told} after version {seen}")
            due = self.visible[where].at(as_of_ns)
            if version < due:
                age_ms = answer["staleness_ms"]
                self.bad("I18", "older than told", one, f"{told}, not {due}; {age_ms} ms old")
            if version < one.least_version and not answer["stale"]:
                self.bad("I19", "write not in read", one, f"{told}, not {one.least_version}")

    def counts_of(self, where: Where) -> set[tuple[int, ...]]:
        """Return every counts that a section ever had."""
        if where not in self.counts:
            section = self.traces.sections.get(where)
            self.counts[where] = set() if section is None else set(section.history)
        return self.counts[where]

    def differing_sections(self) -> Iterable[Where]:
        """Yield the sections that the pod's last view shows otherwise than they are."""
        last: dict[Where, tuple[int, ...]] = {
            (self.history.event_id, entry["section"]): counts_in(entry)
            for entry in json.loads(self.history.final_view)["sections"]
        }
        own: dict[Where, Section] = {
            where: section
            for where, section in self.traces.sections.items()
            if where[0] == self.history.event_id
        }
        for where in own.keys() | last.keys():
            if where not in own or last.get(where) != own[where].history[-1]:
                yield where

    # Answers about reservations.

    def check_ok(self, one: Exchange, answer: Answer) -> None:
        """The event is in the log as it was told, and nothing newer was known before."""
        subject = reservation_id(one, self.partitions)
        name, fields = self.outcome(subject, answer)
        if name not in OUTCOME_OF[one.act]:
            found = name or "nothing"
            self.bad("I20", "no such event", one, f"{answer.get('outcome_id')} is {found}")
            return
        told = {
            "reservation_id": subject,
            "status": STATUS_AFTER[name],
            "event_id": fields["request"]["eventId"],
            "section": fields["request"]["section"],
            "epoch": fields.get("epoch", 0),
            "version": fields["version"],
            "decided_at_ms": fields["decidedAtMs"],
            "deadline_ms": fields.get("deadlineMs"),
            "cause": fields.get("cause"),
            "reason": fields.get("reason"),
            "amount": fields.get("amount", 0),
            "currency": fields.get("currency", ""),
        }
        wrong = {key: answer.get(key) for key in told if answer.get(key) != told[key]}
        if wrong:
            self.bad("I20", "other than its event", one, f"{wrong}, the log has {told}")
        self.check_seats(one, answer, subject, name, fields)
        if fields["request"]["userId"] != one.user:
            self.bad("I20", "somebody else's", one, f"it is {fields['request']['userId']}'s")
        # Who asks for a reservation again is told how it began, not how it stands.
        if one.act is Act.SHOW:
            known = self.stands[subject].at(one.invoked_ns)
            if self.rank(subject, answer) < known:
                self.bad("I19", "non-monotonic read", one, f"{answer['outcome_id']} is older")

    def check_seats(
        self, one: Exchange, answer: Answer, subject: str, name: str, fields: Fields
    ) -> None:
        """Seats are those of the hold, and a hold's are those asked for."""
        seats = {(seat["row"], seat["seat"]) for seat in answer["seats"]}
        # An extension does not name the seats; its hold does.
        named = dict(self.traces.outcomes[subject].values())
        source = named.get("SeatsHeld", {}) if name == "HoldExtended" else fields
        if seats != set(places_of(source.get("seats", []))):
            self.bad("I20", "other seats", one, f"{sorted(seats)}, the log has {source}")
        if one.act is not Act.RESERVE:
            return
        if len(seats) != one.quantity or (one.seats and seats != set(one.seats)):
            self.bad("I20", "not what was asked", one, f"{sorted(seats)}")

    def check_cart(self, one: Exchange, answer: Answer) -> None:
        """Each part of a cart was so as it is told, and what is wanted whole is held whole."""
        statuses = []
        for subject, part in zip(part_ids(one), answer.get("parts", ()), strict=True):
            told, outcomes = part["status"], self.traces.outcomes.get(subject, {}).values()
            statuses.append(told)
            if told not in {"PENDING", *(STATUS_AFTER.get(name) for name, _ in outcomes)}:
                self.bad("I20", "no such event", one, f"{subject} is told to be {told}")
            seats = {(seat["row"], seat["seat"]) for seat in part["seats"]}
            held = [places_of(fields["seats"]) for name, fields in outcomes if name == "SeatsHeld"]
            if told == "HELD" and seats not in map(set, held):
                self.bad("I20", "other seats", one, f"{subject}: {sorted(seats)}")
        is_whole = {"HELD", "PAYING", "SOLD"}.issuperset(statuses)
        if answer.get("status") == "HELD" and answer["on_failure"] == "release" and not is_whole:
            self.bad("I20", "half held", one, f"told to be held: {', '.join(statuses)}")

    def check_refused(self, one: Exchange, answer: Answer) -> None:
        """A refusal of the log is in the log; one from memory was right."""
        reason = answer.get("reason", "")
        if answer.get("source") == "view":
            self.report.refused_from_memory += 1
            if not self.was_right(one, answer):
                self.report.wrong_refusals += 1
        elif answer.get("decided"):
            name, fields = self.outcome(reservation_id(one, self.partitions), answer)
            told = {"reason": reason, "version": answer.get("version"), "seat": answer.get("seat")}
            if one.act is Act.PAY:
                # It names no version, and repeats of a start are known by their key.
                told = {"reason": reason, "version": fields.get("version"), "seat": None}
            is_own = one.act is not Act.PAY or one.stem == correlation_of(fields)
            if name not in REFUSALS or not is_own or any(fields[key] != told[key] for key in told):
                self.bad("I20", "no such refusal", one, f"{told}, the log has {name} {fields}")
        elif (
            reason == "UNKNOWN_RESERVATION"
            and self.stands.get(one.reservation_id, NEVER).at(one.invoked_ns) >= 0
        ):
            self.bad("I19", "forgotten", one, "it was told of before")

    def was_right(self, one: Exchange, answer: Answer) -> bool:
        """Say whether the section could not do it, at a moment that the pod's age allows."""
        where = (one.event_id, one.section)
        states, version = self.states_of(where), answer["version"]
        if answer["staleness_ms"] > self.history.bound_ms or version not in states:
            return False
        as_of_ns = one.invoked_ns - answer["staleness_ms"] * 1_000_000
        due = self.visible.get(where, NEVER).at(as_of_ns)
        wanted = len(one.seats) or one.quantity

        def refuses(free: int, largest_block: int) -> bool:
            if answer["reason"] == "SOLD_OUT":
                return wanted > free
            return (
                answer["reason"] == "NO_ADJACENT_SEATS"
                and not one.seats
                and (wanted > largest_block)
            )

        # The version is read after the decision: what was decided on may be a little older.
        return any(
            refuses(*states[each])
            for each in range(version, max(due, 1) - 1, -1)
            if each in states
        )

    def states_of(self, where: Where) -> Mapping[int, tuple[int, int]]:
        """Return free seats and largest block of a section by version."""
        if where not in self.by_version:
            self.by_version[where] = {
                version: (free, largest) for _, version, free, _, largest in self.counts_of(where)
            }
        return self.by_version[where]

    def check_appended(self, one: Exchange, answer: Answer, kind: Kind) -> None:
        """What a request appended fits its answer, and follows what was answered before."""
        subject = reservation_id(one, self.partitions)
        own = [
            offset
            for offset, fields in self.traces.commands.get(subject, ())
            if fields["request"]["correlationId"] == one.correlation_id
        ]
        if one.act in {Act.EXTEND, *ACTS}:
            # The log knows it by its key: repeats are commands of their own, and one answer.
            return
        offset, *more = own or [-1]
        if more:
            self.bad("I20", "appended twice", one, f"at offsets {own}")
        known = self.decided.get((one.event_id, one.section), NEVER).at(one.invoked_ns)
        if 0 <= offset <= known:
            self.bad("I19", "reordered", one, f"offset {offset} after offset {known}")
        if kind is not Kind.REFUSED or answer.get("decided") or not own:
            return
        if answer.get("reason") not in UNNAMED or self.has_effect(subject, one.correlation_id):
            self.bad("I20", "refused and appended", one, f"at offsets {own}")

    def has_effect(self, subject: str, correlation_id: str) -> bool:
        """Say whether the log has an outcome of this request that is no refusal."""
        return any(
            name not in REFUSALS and fields["request"]["correlationId"] == correlation_id
            for name, fields in self.traces.outcomes.get(subject, {}).values()
        )

    def outcome(self, subject: str, answer: Answer) -> tuple[str, Fields]:
        """Return name and fields of the outcome that an answer names; nothing for none."""
        outcomes = self.traces.outcomes.get(subject, {})
        return outcomes.get(answer.get("outcome_id", ""), ("", {}))

    def rank(self, subject: str, answer: Answer) -> int:
        """Return the place of an answer's outcome among those that changed the reservation."""
        name, _ = self.outcome(subject, answer)
        if name not in STATUS_AFTER:
            return -1
        return list(self.traces.outcomes[subject]).index(answer["outcome_id"])


def correlation_of(fields: Fields) -> str:
    """Return the correlation id of the request that an outcome answers; empty for none."""
    return str(fields.get("request", {}).get("correlationId", ""))


def counts_in(entry: Mapping[str, int]) -> tuple[int, ...]:
    """Return the counts of one section in an answer, in the order of the oracle's."""
    names = ("as_of_ms", "version", "free", "held", "largest_block")
    return tuple(entry[name] for name in names)


def as_text(report: HttpReport) -> list[str]:
    """Return the report as lines for a person."""
    lines = [
        (
            f"HTTP: {report.requests} requests: {report.ok} ok, {report.refused} refused,"
            f" {report.pending} pending; {report.stale_answers} stale"
        ),
        (
            f"HTTP: {len(report.disagreements)} answers unlike the log;"
            f" {report.refused_from_memory} refused from memory, {report.wrong_refusals} of them"
            f" wrongly; view unlike state {report.view_mismatches}"
        ),
    ]
    first: dict[str, Disagreement] = {}
    for one in report.disagreements:
        first.setdefault(f"{one.invariant} {one.anomaly}", one)
    return lines + [f"{name}: {one.message}" for name, one in first.items()]
