"""What requests and answers about reservations look like."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from api.seat_bodies import INT_MAX, STRICT, SeatBody, seat_body
from api.web.consistency_tokens import TOKEN_FORM, token_of
from state.domain.outcome import WITH_DEADLINE, ReservationView
from state.domain.reasons import Reason
from state.domain.reservation import ReleaseCause


class Extension(BaseModel):
    """A full hold time from now, within the section's limit."""

    model_config = STRICT

    epoch: int = Field(ge=1, le=INT_MAX, description="That of the reservation as last seen.")


class ReservationBody(BaseModel):
    """A reservation as it stands.

    `epoch` and `version` go into later commands and reads; `deadline_ms` is there while it is
    held, and while it waits for its payment, which has to be settled by then; `cause` once it was
    released, `reason` and `seat` where it was rejected. `amount` is the price of all its seats,
    fixed when they were held.
    """

    reservation_id: str = Field(description="Opaque; part of this reservation's address.")
    status: Literal["HELD", "SOLD", "REJECTED", "RELEASED", "PAYING", "REFUNDED"]
    event_id: int
    section: str
    seats: list[SeatBody]
    amount: int = Field(description="In the currency's minor unit, such as cents.")
    currency: str = Field(description="ISO 4217; empty where the seats have no price.")
    epoch: int
    deadline_ms: int | None = Field(description="Unix ms.")
    version: int
    consistency_token: str = Field(
        pattern=TOKEN_FORM, description="Look-ups that name it see this change, at any pod."
    )
    outcome_id: str = Field(description="Opaque; for `changed_from`.")
    decided_at_ms: int
    cause: Literal["CANCELLED", "LAPSED", "DECLINED", "EXPIRED", "DIFFERED"] | None = None
    reason: str | None = None
    seat: SeatBody | None = None


class PendingBody(BaseModel):
    """A command that was taken and is not decided yet, as far as this pod knows."""

    reservation_id: str
    status: Literal["PENDING"]
    event_id: int
    section: str


def reservation_body(view: ReservationView) -> dict[str, Any]:
    """Return the members of a ReservationBody."""
    released = view.cause is not ReleaseCause.UNSPECIFIED
    rejected = view.reason is not Reason.UNSPECIFIED
    return {
        "reservation_id": view.reservation_id,
        "status": view.status.name,
        "event_id": view.event_id,
        "section": view.section,
        "seats": [
            {"row": row, "seat": seat}
            for row, first, count in view.seats
            for seat in range(first, first + count)
        ],
        "amount": view.amount,
        "currency": view.currency,
        "epoch": view.epoch,
        "deadline_ms": view.deadline_ms if view.status in WITH_DEADLINE else None,
        "version": view.version,
        "consistency_token": token_of(
            view.event_id, view.section, view.version, view.decided_at_ms
        ),
        "outcome_id": view.outcome_id,
        "decided_at_ms": view.decided_at_ms,
        "cause": view.cause.name if released else None,
        "reason": view.reason.name if rejected else None,
        "seat": seat_body(view.seat),
    }


def pending_body(reservation_id: str, event_id: int, section: str) -> dict[str, Any]:
    """Return the members of a PendingBody."""
    return {
        "reservation_id": reservation_id,
        "status": "PENDING",
        "event_id": event_id,
        "section": section,
    }
