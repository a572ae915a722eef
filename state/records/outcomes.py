"""Decoded records of reservation-outcomes to outcomes of the domain."""

from collections.abc import Callable
from typing import Any, Final

from state.domain.layout import SeatPosition, SeatRange
from state.domain.outcome import Outcome, OutcomeKind

_NAMESPACE: Final = "io.seatstream.outcomes."
# The encoded identity, which an outcome has beside its five fields.
_SPAN_AT: Final = 5


def _seats(ranges: Any) -> tuple[SeatRange, ...]:
    return tuple(SeatRange(*one) for one in ranges)


def _seat(position: Any) -> SeatPosition | None:
    return None if position is None else SeatPosition(*position)


def _refusal(reason: int, seat: Any) -> dict[str, Any]:
    return {"reason": reason, "seat": _seat(seat)}


# What follows the fields that all outcomes have, by kind.
_REST: Final[dict[OutcomeKind, Callable[..., dict[str, Any]]]] = {
    OutcomeKind.HELD: lambda epoch, deadline_ms, seats: {
        "epoch": epoch, "deadline_ms": deadline_ms, "seats": _seats(seats),
    },
    OutcomeKind.REJECTED: _refusal,
    OutcomeKind.REFUSED: _refusal,
    OutcomeKind.CONFIRMED: lambda epoch, seats, reacquired: {
        "epoch": epoch, "seats": _seats(seats), "reacquired": reacquired,
    },
    OutcomeKind.RELEASED: lambda epoch, cause, seats: {
        "epoch": epoch, "cause": cause, "seats": _seats(seats),
    },
    OutcomeKind.EXTENDED: lambda epoch, deadline_ms: {
        "epoch": epoch, "deadline_ms": deadline_ms,
    },
    OutcomeKind.OPENED: lambda capacity, blocked_count: {
        "capacity": capacity, "blocked_count": blocked_count,
    },
    OutcomeKind.WINDOW_CHANGED: lambda starts_ms, ends_ms: {
        "sale_starts_ms": starts_ms, "sale_ends_ms": ends_ms,
    },
    OutcomeKind.BLOCKED: lambda seats: {"seats": _seats(seats)},
    OutcomeKind.UNBLOCKED: lambda seats: {"seats": _seats(seats)},
}  # fmt: skip

KIND_BY_NAME: Final = {_NAMESPACE + kind.value: kind for kind in OutcomeKind}


def outcome_of(name: str, fields: tuple[Any, ...]) -> Outcome:
    """Return the outcome of a decoded record; `name` is its full name."""
    kind = KIND_BY_NAME[name]
    head = fields[:_SPAN_AT] + fields[_SPAN_AT + 1 : _SPAN_AT + 4]
    return Outcome(kind, *head, **_REST[kind](*fields[_SPAN_AT + 4 :]))
