"""The judge of answers about payments passes what a sound pod says and flags every lie.

A reservation is held at offset 1, its payment is started at 2, it is sold at 3, given back at 5.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from scripts.auditing.facts import Traces
from scripts.auditing.http import HttpReport, as_text, audit_http
from scripts.auditing.http_history import Act, Exchange, History
from scripts.auditing.purchases import Payment

ID, KEY, REFUSED_ID = "r-0", "k1", "s-0"
PRICE = {"amount": 900, "currency": "EUR"}
BASE = Exchange(Act.PAY, 0, 0, "ann", 7, section="A", key=KEY, reservation_id=ID, status=202)
TAKEN = {"payment_id": ID, "status": "PENDING"}


@dataclass
class Judged:
    """What clients wrote down, and what an audit of the log came across."""

    history: History
    traces: Traces


def outcome(name: str, subject: str, offset: int, stem: str, **fields: Any) -> tuple[Any, ...]:
    outcome_id = f"section-commands:0:{offset}:0"
    request = {"reservationId": subject, "userId": "ann", "eventId": 7, "section": "A"}
    head = {"request": request | {"correlationId": stem}, "outcomeId": outcome_id, "version": 1}
    return outcome_id, (name, head | fields)


def payment_told(status: str, number: str = "") -> dict[str, Any]:
    return {"status": status, "bookingNumber": number}


def shown(at: int, status: str, seats: str, number: str | None = None) -> Exchange:
    body = {"payment_id": ID, "status": status, "reservation_status": seats, **PRICE}
    return exchange(Act.PAYMENT, at, 200, body | {"booking_number": number}, key="")


def exchange(act: Act, at: int, status: int, body: dict[str, Any], **what: Any) -> Exchange:
    """Return one exchange that began at a moment and was answered at the next."""
    told = json.dumps(body).encode()
    common: dict[str, Any] = {"act": act, "invoked_ns": at, "returned_ns": at + 1} | what
    return replace(BASE, status=status, body=told, **common)


def refusal(at: int, offset: int, reason: str) -> Exchange:
    body = {"reason": reason, "decided": True, "outcome_id": f"section-commands:0:{offset}:0"}
    return exchange(Act.PAY, at, 409, body, reservation_id=REFUSED_ID, key="k2")


def sound() -> Judged:
    traces = Traces(frozenset({ID, REFUSED_ID}))
    stem, other = BASE.stem, replace(BASE, key="k2").stem
    traces.outcomes[ID] = dict(
        (
            outcome("SeatsHeld", ID, 1, "", **PRICE),
            outcome("PaymentStarted", ID, 2, stem, **PRICE),
            outcome("ReservationConfirmed", ID, 3, "payments", **PRICE),
            outcome("ReservationRefunded", ID, 5, "payments", **PRICE),
        )
    )
    refused = {"reason": "LAPSED", "seat": None}
    traces.outcomes[REFUSED_ID] = dict(
        (
            outcome("SeatsHeld", REFUSED_ID, 6, ""),
            outcome("CommandRefused", REFUSED_ID, 8, other, **refused),
            outcome("CommandRefused", REFUSED_ID, 9, other, **refused),
        )
    )
    for subject, name, offsets in ((ID, stem, (2, 4)), (REFUSED_ID, other, (8, 9))):
        traces.commands[subject] = [
            (at, {"request": {"correlationId": name}, "method": "card"}) for at in offsets
        ]
    traces.commands[ID].append((5, {"request": {"correlationId": stem}, "epoch": 1}))
    story = [
        *map(payment_told, ("PENDING", "CAPTURED")),
        *(payment_told(status, "B1") for status in ("DONE", "REFUND_DUE", "REFUNDED")),
    ]
    traces.payments[ID] = Payment(told=story, heard={"refund asked"})
    exchanges = [
        shown(5, "NOT_STARTED", "HELD"),
        exchange(Act.PAY, 10, 202, TAKEN),
        exchange(Act.PAY, 20, 202, TAKEN),
        shown(30, "PENDING", "PAYING"),
        shown(40, "CAPTURED", "PAYING"),
        # Its keeper cannot be asked now.
        shown(45, "PENDING", "PAYING"),
        shown(50, "DONE", "SOLD", "B1"),
        exchange(Act.REFUND, 60, 202, TAKEN, key="k3"),
        shown(70, "REFUNDED", "SOLD", "B1"),
        shown(80, "REFUNDED", "REFUNDED", "B1"),
        refusal(90, 8, "LAPSED"),
        refusal(100, 9, "LAPSED"),
        exchange(Act.PAY, 110, 503, {"reason": "BROKER_UNAVAILABLE"}),
    ]
    return Judged(History(7, 5_000, exchanges), traces)


def judge(judged: Judged) -> HttpReport:
    return audit_http(judged.history, judged.traces, 1)


def test_what_a_sound_pod_says_passes() -> None:
    report = judge(sound())
    assert report.is_exact, as_text(report)
    assert (report.requests, report.ok, report.refused, report.pending) == (13, 7, 3, 3)


Mutation = Callable[[Judged], None]


def told(at: int, **changes: Any) -> Mutation:
    """Change members of the answer that was asked for at a moment."""

    def mutate(judged: Judged) -> None:
        for index, one in enumerate(judged.history.exchanges):
            if one.invoked_ns == at:
                body = json.dumps(one.document() | changes).encode()
                judged.history.exchanges[index] = replace(one, body=body)

    return mutate


def add(*more: Exchange) -> Mutation:
    return lambda judged: judged.history.exchanges.extend(more)


def lose(subject: str, name: str) -> Mutation:
    """Take outcomes of this name out of the log."""

    def mutate(judged: Judged) -> None:
        outcomes = judged.traces.outcomes[subject]
        judged.traces.outcomes[subject] = {
            each: (told_name, fields)
            for each, (told_name, fields) in outcomes.items()
            if told_name != name
        }

    return mutate


def hear_nothing(judged: Judged) -> None:
    judged.traces.payments[ID].heard.clear()


def begin_nothing(judged: Judged) -> None:
    lose(ID, "PaymentStarted")(judged)
    judged.traces.payments.clear()


def append_again(judged: Judged) -> None:
    judged.traces.commands[REFUSED_ID].append((10, {"request": {"correlationId": "?"}}))
    judged.traces.commands[ID].append(judged.traces.commands[ID][0])


def begin_later(judged: Judged) -> None:
    """Have the start appended before something that was told before it was asked for."""
    early = exchange(Act.RELEASE, 1, 404, {"reason": "X", "outcome_id": "section-commands:0:3:0"})
    judged.history.exchanges.insert(0, early)


MUTANTS: dict[str, tuple[Mutation, str]] = {
    "another payment was started": (told(10, payment_id="x-0"), "I20 other than its event"),
    "a start is told as done": (told(10, status="DONE"), "I20 other than its event"),
    "somebody starts another's payment": (
        add(exchange(Act.PAY, 120, 202, TAKEN, user="thief")),
        "I20 somebody else's",
    ),
    "somebody is shown another's payment": (
        add(replace(shown(120, "REFUNDED", "REFUNDED", "B1"), user="thief")),
        "I20 somebody else's",
    ),
    "a payment was sold that is not": (lose(ID, "ReservationConfirmed"), "I20 no such sale"),
    "a booking number is another's": (told(50, booking_number="B2"), "I20 no such sale"),
    "a sale has no booking number": (told(50, booking_number=None), "I20 no such sale"),
    "a payment never stood so": (told(40, status="EXPIRED"), "I20 no such event"),
    "a payment was never begun": (
        begin_nothing,
        "I20 no such event",
    ),
    "the seats never stood so": (told(70, reservation_status="REJECTED"), "I20 no such event"),
    "it costs another amount": (told(40, amount=901), "I20 other than its event"),
    "it costs another currency": (told(40, currency="USD"), "I20 other than its event"),
    "a sale goes back to a hold": (
        add(shown(120, "PENDING", "PAYING")),
        "I19 non-monotonic read",
    ),
    "a payment goes back": (
        add(shown(120, "CAPTURED", "SOLD", "B1")),
        "I19 non-monotonic read",
    ),
    "a payment is forgotten": (
        add(shown(120, "NOT_STARTED", "SOLD")),
        "I19 non-monotonic read",
    ),
    "nobody heard that money is wanted back": (hear_nothing, "I20 no such event"),
    "seats are not given back": (lose(ID, "ReservationRefunded"), "I20 not given back"),
    "a sale is called unpaid": (
        add(exchange(Act.REFUND, 120, 409, {"reason": "NOT_PAID"}, key="k4")),
        "I19 forgotten",
    ),
    "a refusal has another reason": (told(90, reason="NOT_HELD"), "I20 no such refusal"),
    "a refusal is another's": (
        told(90, outcome_id="section-commands:0:2:0"),
        "I20 no such refusal",
    ),
    "a refusal is of another key": (
        add(replace(refusal(120, 8, "LAPSED"), key="k5")),
        "I20 no such refusal",
    ),
    "a repeat is refused for another reason": (
        add(refusal(120, 9, "NOT_HELD")),
        "I20 another answer",
    ),
    "a repeat is refused after its start": (
        add(replace(refusal(120, 8, "LAPSED"), reservation_id=ID, key=KEY)),
        "I20 another answer",
    ),
    "a start is appended twice": (append_again, "I20 appended twice"),
    "a start comes before what was told earlier": (begin_later, "I19 reordered"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_every_lie_is_flagged(name: str) -> None:
    mutate, wanted = MUTANTS[name]
    judged = copy.deepcopy(sound())
    mutate(judged)
    report = judge(judged)
    flagged = {f"{one.invariant} {one.anomaly}" for one in report.disagreements}
    assert wanted in flagged, flagged
