"""Payments hear of what was asked for money, and of nothing else."""

from typing import Any

import pytest

from scripts.auditing.oracle.telling import claimed, sale_decided, standing_of, told_of
from scripts.auditing.oracle.words import FREE_OF_CHARGE, Reservation

REQUEST = {"reservationId": "r-1", "section": "A"}
COMMAND: dict[str, Any] = {
    "request": REQUEST, "epoch": 1, "gateway": "mock", "method": "card", "parameters": b"",
    "paymentId": "p-1",
}  # fmt: skip
SEATS = [{"row": 0, "first": 1, "count": 2}]


def held(*, is_started: bool, status: str = "PAYING") -> Reservation:
    record = {
        "request": REQUEST, "status": status, "epoch": 2, "seats": SEATS, "reason": "UNSPECIFIED",
        "seat": None, "amount": 5, "currency": "EUR", "later": [], "decidedOffset": 3,
        "decidedVersion": 4, "heldAtMs": 5,
    }  # fmt: skip
    outcome: Any = ("SeatsHeld", {"cause": "LAPSED"})
    return Reservation(
        record, [], outcome, outcome, deadline_ms=9, started=outcome if is_started else None
    )


def test_a_sale_is_answered_where_a_payment_was_started_and_with_its_seats() -> None:
    sold: Any = ("ReservationConfirmed", {"outcomeId": "me"})
    assert told_of("me", held(is_started=False), "ConfirmReservation", COMMAND, sold) is None
    answer = told_of("me", held(is_started=True), "ConfirmReservation", COMMAND, sold)
    assert answer is not None
    name, fields = answer
    assert (name, fields["asked"], fields["decision"]) == ("SaleDecided", "SELL_SEATS", "SOLD")
    assert fields["seats"] == [{"section": "A", **SEATS[0]}]
    # Only a sale has seats.
    assert sale_decided("me", "FailPayment", COMMAND, "RELEASED", "", 2, SEATS)[1]["seats"] == []


def test_a_payment_is_asked_for_again_until_it_has_come_to_its_end() -> None:
    begun: Any = (
        "PaymentStarted",
        {"request": REQUEST, "epoch": 1, "deadlineMs": 9} | FREE_OF_CHARGE,
    )
    asked = told_of("me", held(is_started=True), "StartPayment", COMMAND, begun)
    assert asked is not None
    assert (asked[0], asked[1]["outcomeId"]) == ("PaymentRequested", "me")
    sold = held(is_started=True, status="SOLD")
    assert told_of("me", sold, "StartPayment", COMMAND, begun) is None
    assert told_of("me", sold, "ExtendHold", COMMAND, begun) is None


def test_of_a_claim_about_nobodys_hold_no_price_is_told() -> None:
    refused: Any = ("CommandRefused", {"reason": "FORBIDDEN"})
    asked = told_of("me", held(is_started=False), "ClaimPayment", COMMAND, refused)
    assert asked == claimed("me", COMMAND, FREE_OF_CHARGE, 0)
    wrong: Any = ("CommandRefused", {"reason": "WRONG_AMOUNT"})
    asked = told_of("me", held(is_started=False), "ClaimPayment", COMMAND, wrong)
    assert asked is not None
    assert (asked[1]["amount"], asked[1]["method"]) == (5, "COMPLETED")


@pytest.mark.parametrize(
    ("status", "deadline_ms", "cause"),
    [("HELD", 9, "UNSPECIFIED"), ("RELEASED", 0, "LAPSED"), ("PAYING", 0, "UNSPECIFIED")],
)
def test_a_part_stands_as_its_last_decision_left_it(
    status: str, deadline_ms: int, cause: str
) -> None:
    standing = standing_of(held(is_started=False, status=status))
    assert (standing["status"], standing["deadlineMs"]) == (status, deadline_ms)
    assert standing["cause"] == cause
    assert (standing["offset"], standing["version"], standing["decidedAtMs"]) == (3, 4, 5)
