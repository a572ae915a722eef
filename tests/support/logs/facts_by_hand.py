"""Facts of one partition for one family of invariants, written down by hand."""

from collections.abc import Callable
from typing import Any

from support.logs.audit_logs import (
    AVRO,
    START_MS,
    WIRE,
    identity,
    open_section,
    row_plan,
    value_of,
)

from scripts.auditing.facts import Expected, Facts, Told
from scripts.auditing.log import Log
from scripts.auditing.oracle.model import Oracle
from scripts.auditing.report import Notes, Report
from scripts.auditing.stored import Stored
from scripts.auditing.topics import LogRecord

EVENT_ID, SECTION = 7, "A"
KEY = b"7-A"

Fields = dict[str, Any]
Finding = tuple[str, str, int]  # invariant, anomaly, offset


def facts_by_hand() -> Facts:
    """Return what is known of a log of one partition in which nothing has happened."""
    stored = Stored(AVRO, Notes(0, Report()), 1)
    return Facts(Log(WIRE, 1), 0, False, stored, Oracle("section-commands", 0, 1), None)


def with_section(facts: Facts, *rows: int) -> Facts:
    """Let the oracle open the section with rows of so many seats, by the command at offset 0."""
    plans = [row_plan(str(number), seats) for number, seats in enumerate(rows)]
    command = open_section(SECTION, EVENT_ID, plans)
    facts.oracle.apply(0, START_MS, KEY, ("OpenSection", command))
    return facts


def outcome_of(name: str, offset: int, reservation_id: str = "r1", **fields: Any) -> Told:
    """Return an outcome of the command at an offset; what is not given is as for a first hold."""
    usual = {
        "request": identity(reservation_id, "u1", SECTION, EVENT_ID),
        "outcomeId": f"section-commands:0:{offset}:0",
        "version": offset,
        "decidedAtMs": START_MS,
    }
    one_seat = {"epoch": 1, "seats": seats(0, 0, 1), "amount": 1, "currency": "EUR"}
    rest: dict[str, Fields] = {
        "SeatsHeld": {"epoch": 1, "deadlineMs": START_MS, "seats": seats(0, 0, 1)},
        "ReservationConfirmed": {"epoch": 1, "seats": seats(0, 0, 1), "reacquired": False},
        "ReservationReleased": {"epoch": 1, "cause": "CANCELLED", "seats": seats(0, 0, 1)},
        "PaymentStarted": one_seat | {"deadlineMs": START_MS, "gateway": "mock"},
        "ReservationRefunded": one_seat,
        "HoldExtended": {"epoch": 1, "deadlineMs": START_MS},
        "ReservationRejected": {"reason": "SOLD_OUT", "seat": None},
        "CommandRefused": {"reason": "NOT_HELD", "seat": None},
        "SectionOpened": {"capacity": 9, "blockedCount": 0},
        "SeatsBlocked": {"seats": seats(0, 0, 1)},
        "SeatsUnblocked": {"seats": seats(0, 0, 1)},
        "SaleWindowChanged": {"saleStartsMs": 0, "saleEndsMs": 0},
    }
    content = usual | rest[name] | fields
    value = value_of(name, content)
    return Told(LogRecord(offset, START_MS, reservation_id.encode(), value), name, content, 0)


def seats(row: int, first: int, count: int) -> list[Fields]:
    """Return one range of seats."""
    return [{"row": row, "first": first, "count": count}]


def following(*told: Told) -> Facts:
    """Return facts with these outcomes to follow."""
    facts = facts_by_hand()
    facts.followed = list(told)
    return facts


def expected_as(told: Told, turn: int) -> Expected:
    """Return an outcome as what its command must have led to."""
    body = (told.record.value or b"")[5:]
    key = told.fields["request"]["reservationId"].encode()
    return Expected(turn, told.at, key, told.name, told.fields, body)


def findings(check: Callable[[Facts, Notes], None], facts: Facts) -> list[Finding]:
    """Return what a family finds, in its order."""
    return [
        (each.invariant, each.anomaly, each.offset) for each in judged(check, facts).violations
    ]


def judged(check: Callable[[Facts, Notes], None], facts: Facts) -> Report:
    """Return the report of one family alone."""
    report = Report()
    check(facts, Notes(0, report))
    return report
