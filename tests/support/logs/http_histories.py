"""Histories of HTTP clients: what a sound pod tells them while a log grows, in random order.

Time is simulated: each request is a generator that is advanced a step at a time, between others.
"""

import json
import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from support.logs.audit_logs import (
    START_MS,
    WIRE,
    Fields,
    identity,
    open_section,
    prices,
    row_plan,
    run_partition,
    value_of,
)

from scripts.auditing.checks import audit
from scripts.auditing.facts import Traces
from scripts.auditing.http import reservation_id, reservation_ids
from scripts.auditing.http_history import Act, Exchange, History, Sighting
from scripts.auditing.log import Log
from scripts.auditing.oracle.keys import partition_of
from scripts.auditing.oracle.model import Oracle
from scripts.auditing.oracle.seats import Counts, places_of
from scripts.auditing.oracle.words import Outcome
from scripts.auditing.topics import LogRecord

EVENT_ID = 7
PARTITIONS = 3
BOUND_MS = 5_000
SECTIONS = ("S0", "S1", "S2")
STATUS_BY_OUTCOME = {
    "SeatsHeld": "HELD",
    "HoldExtended": "HELD",
    "ReservationConfirmed": "SOLD",
    "ReservationReleased": "RELEASED",
    "ReservationRejected": "REJECTED",
}

Steps = Generator[None, None, None]


@dataclass(frozen=True, slots=True)
class Judged:
    """A history, and what an audit of its log came across."""

    history: History
    traces: Traces


def sound_history(seed: int, requests: int = 120) -> Judged:
    """Return what clients of a sound pod write down."""
    world = World(seed)
    world.run(requests)
    log = world.log
    for topic in (log.outcomes, log.statuses, log.changelog, log.dead_letters, log.payments):
        topic.update({partition: [] for partition in range(PARTITIONS)})
    for partition in range(PARTITIONS):
        run_partition(log, partition, world.draw, poisonous=0)
    traces = Traces(reservation_ids(world.history, PARTITIONS))
    report = audit(log, traces=traces)
    assert report.is_exact, report.violations
    return Judged(world.history, traces)


class World:
    """The log, a worker that decides at once, a pod that lags behind, and clients."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.now_ns = 1_000_000_000
        self.history = History(EVENT_ID, BOUND_MS)
        self.log = Log(WIRE, PARTITIONS)
        self.log.commands = {partition: [] for partition in range(PARTITIONS)}
        self.oracles = [Oracle("section-commands", each, PARTITIONS) for each in range(PARTITIONS)]
        # What the pod knows: counts by section, as of when; and how reservations stand.
        self.view: dict[str, Counts] = {}
        self.view_ns = self.now_ns
        self.stands: dict[str, Outcome] = {}
        self.held: dict[str, tuple[str, str, Fields]] = {}
        self.numbers = 0
        for section in SECTIONS:
            rows = [row_plan("1", 9, 4, category="a"), row_plan("2", 7, category="b")]
            opening = open_section(section, EVENT_ID, rows, **prices("EUR", a=4_500, b=2_950))
            self.append("OpenSection", opening)
        self.catch_up()

    def run(self, requests: int) -> None:
        """Let so many requests be asked and answered."""
        draw = self.draw
        under_way: list[Steps] = []
        left = requests
        while left or under_way:
            self.now_ns += draw.randint(1, 4_000_000)
            if left and (not under_way or draw.random() < 0.3):
                left -= 1
                under_way.append(self.request())
            one = draw.choice(under_way)
            if next(one, "over") == "over":
                under_way.remove(one)
            if draw.random() < 0.2:
                self.catch_up()
            if draw.random() < 0.2:
                self.sight(draw.choice(SECTIONS))
        self.catch_up()
        self.history.final_view = json.dumps(self.counts(SECTIONS)).encode()

    # The log and the pod.

    def append(self, name: str, fields: Fields) -> Outcome:
        """Append a command and return its own outcome."""
        request = fields["request"]
        key = f"{EVENT_ID}-{request['section']}".encode()
        partition = partition_of(key, PARTITIONS)
        records = self.log.commands[partition]
        offset = records[-1].offset + 1 + (self.draw.random() < 0.1) if records else 0
        time_ms = START_MS + self.now_ns // 1_000_000
        records.append(LogRecord(offset, time_ms, key, value_of(name, fields)))
        outcomes = self.oracles[partition].apply(offset, time_ms, key, (name, fields))
        for told, content in outcomes:
            subject = content["request"]["reservationId"]
            is_first = content["outcomeId"].split(":")[2] == str(offset)
            if told in STATUS_BY_OUTCOME and is_first:
                self.stands[subject] = (told, content)
        return outcomes[-1]

    def catch_up(self) -> None:
        """Let the pod know everything."""
        self.view = {section: self.newest(section) for section in SECTIONS}
        self.view_ns = self.now_ns

    def newest(self, section: str) -> Counts:
        partition = partition_of(f"{EVENT_ID}-{section}".encode(), PARTITIONS)
        return self.oracles[partition].sections[EVENT_ID, section].history[-1]

    def sight(self, section: str) -> None:
        """Let somebody else see a section as it is."""
        version = self.newest(section)[1]
        self.history.sightings.append(Sighting(self.now_ns, EVENT_ID, section, version))

    @property
    def staleness_ms(self) -> int:
        return -((self.view_ns - self.now_ns) // 1_000_000)

    def counts(self, sections: tuple[str, ...]) -> Fields:
        """Return the pod's answer to a look."""
        entries = []
        for section in sections:
            as_of_ms, version, free, held, largest = self.view[section]
            counts = {"as_of_ms": as_of_ms, "version": version, "free": free, "held": held}
            entries.append({"section": section, "largest_block": largest, **counts})
        stale = self.staleness_ms > BOUND_MS
        return {"staleness_ms": self.staleness_ms, "stale": stale, "sections": entries}

    # Requests.

    def next_number(self) -> int:
        self.numbers += 1
        return self.numbers

    def request(self) -> Steps:
        """Return the steps of one random request."""
        draw = self.draw
        if not self.held or draw.random() < 0.55:
            return draw.choice([self.look, self.reserve, self.reserve])()
        subject = draw.choice(list(self.held))
        acts = [self.show, self.release, self.extend, self.confirm]
        return draw.choices(acts, [3, 1, 1, 2])[0](subject)

    def look(self) -> Steps:
        invoked_ns = self.now_ns
        yield
        answer = self.counts(tuple(self.draw.sample(SECTIONS, 2)))
        yield
        self.note(Act.LOOK, invoked_ns, 200, answer, user="anybody")

    def reserve(self) -> Steps:
        draw, number = self.draw, self.next_number()
        # Some ask again with the key of their last request but one or so, for the same or other.
        user, section = f"u{number % 5}", SECTIONS[number % 5 % len(SECTIONS)]
        key, correlation_id = f"k{number - 5 * (draw.random() < 0.2)}", f"c{number}"
        quantity = draw.choice([1, 1, 2, 3, 4])
        asked = Exchange(
            Act.RESERVE, 0, 0, user, EVENT_ID, section=section, key=key, quantity=quantity
        )
        subject = reservation_id(asked, PARTITIONS)
        what = {"user": user, "section": section, "key": key, "quantity": quantity}
        what["correlation_id"] = correlation_id
        invoked_ns = self.now_ns
        yield
        _, version, free, _, largest = self.view[section]
        if subject not in self.stands and quantity > largest:
            reason = "SOLD_OUT" if quantity > free else "NO_ADJACENT_SEATS"
            problem = {"reason": reason, "decided": False, "source": "view", "version": version}
            problem["staleness_ms"] = self.staleness_ms
            self.note(Act.RESERVE, invoked_ns, 409, problem, **what)
            return
        yield
        request = identity(subject, user, section, EVENT_ID, correlation_id)
        outcome = self.append("HoldBestAvailable", {"request": request, "seatCount": quantity})
        if outcome[0] == "SeatsHeld":
            self.held[subject] = (user, section, outcome[1])
        yield
        if draw.random() < 0.1:
            # The client waits no longer, or the pod.
            if draw.random() < 0.5:
                self.note(Act.RESERVE, invoked_ns, 0, None, **what)
            else:
                pending = {"reservation_id": subject, "status": "PENDING"}
                self.note(Act.RESERVE, invoked_ns, 202, pending, **what)
            return
        self.answer(Act.RESERVE, invoked_ns, subject, outcome, 201, what)

    def show(self, subject: str) -> Steps:
        user, section, _ = self.held[subject]
        invoked_ns = self.now_ns
        yield
        outcome = self.stands[subject]
        yield
        what = {"user": user, "section": section, "reservation_id": subject}
        self.answer(Act.SHOW, invoked_ns, subject, outcome, 200, what)

    def release(self, subject: str) -> Steps:
        return self.change(Act.RELEASE, subject, "ReleaseReservation")

    def extend(self, subject: str) -> Steps:
        return self.change(Act.EXTEND, subject, "ExtendHold")

    def change(self, act: Act, subject: str, name: str) -> Steps:
        user, section, held = self.held[subject]
        correlation_id = f"c{self.next_number()}"
        invoked_ns = self.now_ns
        yield
        request = identity(subject, user, section, EVENT_ID, correlation_id)
        outcome = self.append(name, {"request": request, "epoch": held["epoch"]})
        yield
        what = {"user": user, "section": section, "reservation_id": subject}
        what["correlation_id"] = correlation_id
        self.answer(act, invoked_ns, subject, outcome, 200, what)

    def confirm(self, subject: str) -> Steps:
        """Pay at the till, which is not the pod's."""
        user, section, held = self.held[subject]
        request = identity(subject, user, section, EVENT_ID, f"till{self.next_number()}")
        self.append("ConfirmReservation", {"request": request, "epoch": held["epoch"]})
        yield

    # Answers.

    def answer(
        self,
        act: Act,
        invoked_ns: int,
        subject: str,
        outcome: Outcome,
        status: int,
        what: Fields,
    ) -> None:
        """Note the answer that an outcome leads to."""
        name, fields = outcome
        if act is not Act.SHOW and name in {"ReservationRejected", "CommandRefused"}:
            problem = {
                "reason": fields["reason"],
                "decided": True,
                "outcome_id": fields["outcomeId"],
                "version": fields["version"],
                "seat": fields["seat"],
            }
            is_reused = fields["reason"] == "CONFLICT"
            if is_reused:
                problem = {"reason": "IDEMPOTENCY_KEY_REUSED"}
            self.note(act, invoked_ns, 422 if is_reused else 409, problem, **what)
            return
        source = self.held[subject][2] if name == "HoldExtended" else fields
        body = {
            "reservation_id": subject,
            "status": STATUS_BY_OUTCOME[name],
            "event_id": EVENT_ID,
            "section": fields["request"]["section"],
            "seats": [
                {"row": row, "seat": seat} for row, seat in places_of(source.get("seats", []))
            ],
            "epoch": fields.get("epoch", 0),
            "deadline_ms": fields.get("deadlineMs"),
            "version": fields["version"],
            "outcome_id": fields["outcomeId"],
            "decided_at_ms": fields["decidedAtMs"],
            "cause": fields.get("cause"),
            "reason": fields.get("reason"),
            "amount": fields.get("amount", 0),
            "currency": fields.get("currency", ""),
        }
        self.note(act, invoked_ns, status, body, **what)

    def note(
        self, act: Act, invoked_ns: int, status: int, body: Fields | None, **what: Any
    ) -> None:
        exchange = Exchange(
            act,
            invoked_ns,
            self.now_ns,
            event_id=EVENT_ID,
            status=status,
            body=b"" if body is None else json.dumps(body).encode(),
            **what,
        )
        self.history.exchanges.append(exchange)
