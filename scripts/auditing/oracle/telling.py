"""What payments and carts must be told of a decision. Pure."""

from collections.abc import Sequence
from typing import Any

from scripts.auditing.oracle.seats import Command
from scripts.auditing.oracle.words import (
    DECISIONS,
    FREE_OF_CHARGE,
    OF_MONEY,
    PRICELESS,
    Outcome,
    Reservation,
    price_told,
)


def standing_of(held: Reservation) -> dict[str, Any]:
    """Return what a cart must be told of its part: how that stands as a whole."""
    record, (_, last) = held.record, held.last
    decided = {"offset": record["decidedOffset"], "ordinal": 0, "deadlineMs": 0}
    decided |= {"version": record["decidedVersion"], "atMs": record["heldAtMs"]}
    decided = record["later"][-1] if record["later"] else decided
    is_released = record["status"] == "RELEASED"
    deadlines = {"HELD": held.deadline_ms, "PAYING": decided["deadlineMs"]}
    return {
        "offset": decided["offset"],
        "ordinal": decided["ordinal"],
        "deadlineMs": deadlines.get(record["status"], 0),
        "version": decided["version"],
        "decidedAtMs": decided["atMs"],
        "cause": last["cause"] if is_released else "UNSPECIFIED",
        **{name: record[name] for name in ("status", "epoch", "seats", "reason", "seat")},
        **price_told(record),
    }


def told_of(
    own_id: str, held: Reservation | None, name: str, command: Command, outcome: Outcome
) -> Outcome | None:
    """Return what payments are told of a command about a reservation, None for nothing.

    own_id: of the outcome that the command led to now. held: the reservation, as it stands.
    """
    told, fields = outcome
    if name in OF_MONEY:
        is_sold_now = told == "ReservationConfirmed" and fields["outcomeId"] == own_id
        if is_sold_now and (held is None or held.started is None):
            # Whoever sells without payments asks for no answer but the outcome.
            return None
        reason = fields.get("reason", "UNSPECIFIED")
        epoch = 0 if held is None else held.record["epoch"]
        section = command["request"]["section"]
        held_seats = held.record["seats"] if held is not None else []
        seats = [{"section": section, **one} for one in held_seats]
        return sale_decided(own_id, name, command, DECISIONS[told], reason, epoch, seats)
    if name == "ClaimPayment":
        kept_ms = fields["deadlineMs"] if told == "PaymentStarted" else 0
        # Whose seats are not meant, nobody knows a price for.
        is_known = fields.get("reason") not in PRICELESS
        price = price_told(held.record) if held is not None and is_known else FREE_OF_CHARGE
        return claimed(own_id, command, price, kept_ms)
    if held is None or held.started is None:
        return None
    # A repeat asks for the payment again, until it has come to its end.
    is_paying = held.record["status"] == "PAYING"
    if name != "StartPayment" or told != "PaymentStarted" or not is_paying:
        return None
    return "PaymentRequested", {
        "request": fields["request"],
        "outcomeId": own_id,
        **{field: fields[field] for field in ("epoch", "amount", "currency", "deadlineMs")},
        **{field: command[field] for field in ("gateway", "method", "parameters")},
    }


def claimed(own_id: str, command: Command, price: dict[str, Any], kept_ms: int) -> Outcome:
    """Return what payments are told of money that another shop has heard of."""
    return "PaymentRequested", {
        "request": command["request"],
        "outcomeId": own_id,
        **{field: command[field] for field in ("epoch", "gateway")},
        **price,
        "method": "COMPLETED",
        "parameters": command["paymentId"].encode(),
        "deadlineMs": kept_ms,
    }


def sale_decided(
    own_id: str,
    name: str,
    command: Command,
    decision: str,
    reason: str,
    epoch: int,
    seats: Sequence[Any] = (),
) -> Outcome:
    """Return the answer to a command that tells what became of money."""
    request = command["request"]
    return "SaleDecided", {
        "request": request,
        "outcomeId": own_id,
        "asked": OF_MONEY[name],
        "epoch": command["epoch"],
        "decision": decision,
        "reason": reason,
        "newEpoch": epoch,
        "seats": list(seats) if decision == "SOLD" else [],
    }
