"""Decoded records of reservation-outcomes to outcomes of the domain."""

from collections.abc import Callable
from typing import Any, Final

from serdes.avro.field_names import field_names, position
from state.domain.layout import SeatPosition, SeatRange
from state.domain.outcome import Outcome, OutcomeKind

_NAMESPACE: Final = "io.seatstream.outcomes."


def _common(field: str) -> int:
    """Return where a field stands in every outcome that has it."""
    places = {
        position(_NAMESPACE + kind.value, field)
        for kind in OutcomeKind
        if field in field_names(_NAMESPACE + kind.value)
    }
    (place,) = places
    return place


# Of any outcome.
RESERVATION_ID: Final = _common("reservationId")
SECTION: Final = _common("section")
OUTCOME_ID: Final = _common("outcomeId")
VERSION: Final = _common("version")
DECIDED_AT: Final = _common("decidedAtMs")
# Of those that have one.
REASON: Final = _common("reason")
EPOCH: Final = _common("epoch")
CAUSE: Final = _common("cause")

_REQUEST: Final = _common("request")
# What only some kinds have begins here.
_REST_FROM: Final = DECIDED_AT + 1


def _seats(ranges: Any) -> tuple[SeatRange, ...]:
    return tuple(SeatRange(*one) for one in ranges)


def _seat(position: Any) -> SeatPosition | None:
    return None if position is None else SeatPosition(*position)


def _price(amount: int, currency: bytes) -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def _refusal(reason: int, seat: Any) -> dict[str, Any]:
    return {"reason": reason, "seat": _seat(seat)}


# What follows the fields that all outcomes have, by kind.
_REST: Final[dict[OutcomeKind, Callable[..., dict[str, Any]]]] = {
    OutcomeKind.HELD: lambda epoch, deadline_ms, seats, *price: {
        "epoch": epoch,
        "deadline_ms": deadline_ms,
        "seats": _seats(seats),
        **_price(*price),
    },
    OutcomeKind.REJECTED: _refusal,
    OutcomeKind.REFUSED: _refusal,
    OutcomeKind.CONFIRMED: lambda epoch, seats, reacquired, *price: {
        "epoch": epoch,
        "seats": _seats(seats),
        "reacquired": reacquired,
        **_price(*price),
    },
    OutcomeKind.RELEASED: lambda epoch, cause, seats, *price: {
        "epoch": epoch,
        "cause": cause,
        "seats": _seats(seats),
        **_price(*price),
    },
    OutcomeKind.EXTENDED: lambda epoch, deadline_ms, *price: {
        "epoch": epoch,
        "deadline_ms": deadline_ms,
        **_price(*price),
    },
    OutcomeKind.PAYMENT_STARTED: lambda epoch, deadline_ms, seats, amount, currency, gateway: {
        "epoch": epoch,
        "deadline_ms": deadline_ms,
        "seats": _seats(seats),
        "gateway": gateway,
        **_price(amount, currency),
    },
    OutcomeKind.REFUNDED: lambda epoch, seats, *price: {
        "epoch": epoch,
        "seats": _seats(seats),
        **_price(*price),
    },
    OutcomeKind.OPENED: lambda capacity, blocked_count: {
        "capacity": capacity,
        "blocked_count": blocked_count,
    },
    OutcomeKind.WINDOW_CHANGED: lambda starts_ms, ends_ms: {
        "sale_starts_ms": starts_ms,
        "sale_ends_ms": ends_ms,
    },
    OutcomeKind.BLOCKED: lambda seats: {"seats": _seats(seats)},
    OutcomeKind.UNBLOCKED: lambda seats: {"seats": _seats(seats)},
}

KIND_BY_NAME: Final = {_NAMESPACE + kind.value: kind for kind in OutcomeKind}


def outcome_of(name: str, fields: tuple[Any, ...]) -> Outcome:
    """Return the outcome of a decoded record; `name` is its full name."""
    kind = KIND_BY_NAME[name]
    # An outcome has its request's five fields, but not the request as it was encoded.
    head = fields[:_REQUEST] + fields[_REQUEST + 1 : _REST_FROM]
    return Outcome(kind, *head, **_REST[kind](*fields[_REST_FROM:]))
