"""What buyers say of the seats that they want in one section, and what is certainly refused."""

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from api.pod import Pod
from api.web.ids import SECTION_FORM
from api.web.problems import Problem
from state.domain.layout import SEATS_PER_HOLD_MAX
from state.domain.reasons import Reason

INT_MAX: Final = 2**31 - 1

STRICT: Final = ConfigDict(extra="forbid", strict=True)

Section = Annotated[str, Field(pattern=SECTION_FORM, description="Id of the section.")]


class SeatBody(BaseModel):
    """One seat: indexes from 0, as in the section's seat map."""

    model_config = STRICT

    row: int = Field(ge=0, le=INT_MAX)
    seat: int = Field(ge=0, le=INT_MAX)


class BestAvailable(BaseModel):
    """Adjacent seats of the section's choice."""

    model_config = STRICT

    section: Section
    quantity: int = Field(ge=1, le=SEATS_PER_HOLD_MAX)

    @property
    def are_adjacent(self) -> bool:
        """Say whether they are one run of seats, or nothing."""
        return True


class ChosenSeats(BaseModel):
    """Exactly these seats, all or none."""

    model_config = STRICT

    section: Section
    seats: list[SeatBody] = Field(min_length=1, max_length=SEATS_PER_HOLD_MAX)


def seat_body(seat: tuple[int, int] | None) -> dict[str, int] | None:
    return None if seat is None else {"row": seat[0], "seat": seat[1]}


def refuse_certain(
    pod: Pod,
    event_id: int,
    body: BestAvailable | ChosenSeats,
    advice: Callable[[Reason], str],
) -> None:
    """Raise Problem where the view proves that the log would refuse a new request.

    advice: what a client does about a reason.
    """
    are_adjacent = isinstance(body, BestAvailable) and body.are_adjacent
    quantity = body.quantity if isinstance(body, BestAvailable) else len(body.seats)
    reason = pod.view.can_refuse(event_id, body.section, quantity, adjacent=are_adjacent)
    if reason is None:
        return
    known = pod.view.get(event_id, body.section)
    raise Problem.of(
        reason,
        advice(reason),
        decided=False,
        source="view",
        staleness_ms=0 if known is None else known.staleness_ms,
        version=0 if known is None else known.version,
    )
