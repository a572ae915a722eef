"""What buyers say of the seats that they want, in one section."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from api.web.ids import SECTION_FORM
from state.domain.layout import SEATS_PER_HOLD_MAX

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


class ChosenSeats(BaseModel):
    """Exactly these seats, all or none."""

    model_config = STRICT

    section: Section
    seats: list[SeatBody] = Field(min_length=1, max_length=SEATS_PER_HOLD_MAX)


def seat_body(seat: tuple[int, int] | None) -> dict[str, int] | None:
    return None if seat is None else {"row": seat[0], "seat": seat[1]}
