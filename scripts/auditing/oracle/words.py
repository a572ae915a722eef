"""What the oracle and what it tells others are both made of."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from scripts.auditing.oracle.keys import PART_ID
from scripts.auditing.oracle.seats import Command, Place

Outcome = tuple[str, dict[str, Any]]  # name of the record, its fields

HOLDS = {"HoldBestAvailable", "HoldInPieces", "HoldChosenSeats"}
# What each command asks for that tells what became of money.
OF_MONEY = {
    "ConfirmReservation": "SELL_SEATS",
    "FailPayment": "RELEASE_SEATS",
    "RefundSeats": "TAKE_SEATS_BACK",
}
# What else a cart asks of its parts.
OF_PARTS = {"ReleaseReservation", "StartPayment"}
# How seats stand by an outcome that such a command led to.
DECISIONS = {
    "ReservationConfirmed": "SOLD",
    "ReservationReleased": "RELEASED",
    "ReservationRefunded": "REFUNDED",
    "CommandRefused": "REFUSED",
}
# Why a buyer cannot do otherwise with seats, by where their reservation stands.
IN_USE = {
    "PAYING": "PAYMENT_IN_PROGRESS",
    "SOLD": "ALREADY_SOLD",
    "REFUNDED": "ALREADY_REFUNDED",
}
# Why a payment released seats; a cause that nobody knows is as good as declined.
FAILURES = {
    "UNSPECIFIED": "DECLINED",
    "DECLINED": "DECLINED",
    "EXPIRED": "EXPIRED",
    "DIFFERED": "DIFFERED",
}
FREE_OF_CHARGE = {"amount": 0, "currency": ""}
# How a part stands of which nothing is known.
NOWHERE = {
    "ordinal": 0,
    "status": "UNSPECIFIED",
    "epoch": 0,
    "deadlineMs": 0,
    "version": 0,
    "decidedAtMs": 0,
    "seats": [],
    "seat": None,
    "cause": "UNSPECIFIED",
    **FREE_OF_CHARGE,
}
# Of a claim that is about no hold that this buyer has.
PRICELESS = {
    "UNKNOWN_RESERVATION",
    "CONFLICT",
    "FORBIDDEN",
    "NOT_HELD",
    "STALE_EPOCH",
}
# Of a reservation whose payment was never started.
UNPAID = {"gateway": ""}


@dataclass(slots=True)
class Reservation:
    """A reservation as the log must remember it; fields as in its Avro record.

    places: its seats, one by one; first: its first outcome; last: that of its last decision.
    started, sold: the outcomes of the start of its payment, and of its sale in its first epoch.
    extensions: outcomes of the last ones by the correlation id of each, oldest first.
    """

    record: dict[str, Any]
    places: list[Place]
    first: Outcome
    last: Outcome
    extensions: OrderedDict[str, Outcome] = field(default_factory=OrderedDict)
    deadline_ms: int = 0
    started: Outcome | None = None
    sold: Outcome | None = None


def is_of(held: Reservation, request: dict[str, Any]) -> bool:
    """Say whether a reservation is what a request of this buyer and section names."""
    own, names = held.record["request"], ("userId", "section", "eventId")
    return own is request or all(own[name] == request[name] for name in names)


def started_before(held: Reservation, command: Command) -> Outcome | None:
    """Return what a start of its payment led to that asked for the same as this one."""
    free = is_free(held.record)
    begun, meanwhile = (held.sold, "SOLD") if free else (held.started, "PAYING")
    if begun is None:
        return None
    fields = begun[1]
    if fields["epoch"] != command["epoch"] or (
        not free and fields["gateway"] != command["gateway"]
    ):
        return None
    is_same = fields["request"]["correlationId"] == command["request"]["correlationId"]
    return begun if is_same or held.record["status"] == meanwhile else None


def is_free(record: dict[str, Any]) -> bool:
    """Say whether seats are sold without a payment; a part waits for that of its cart."""
    is_part = PART_ID.fullmatch(record["request"]["reservationId"])
    return bool(record["currency"]) and record["amount"] == 0 and not is_part


def price_told(record: dict[str, Any]) -> dict[str, Any]:
    """Return the price of a reservation, as each of its outcomes tells it."""
    return {name: record[name] for name in FREE_OF_CHARGE}
