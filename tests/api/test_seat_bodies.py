"""Seats as buyers ask for them: none of other forms, and none too many."""

import pytest
from pydantic import TypeAdapter, ValidationError

from api.seat_bodies import BestAvailable, ChosenSeats, seat_body
from state.domain.layout import SEATS_PER_HOLD_MAX, SeatPosition

ASKED: TypeAdapter[BestAvailable | ChosenSeats] = TypeAdapter(BestAvailable | ChosenSeats)


def test_seats_are_the_sections_choice_or_the_buyers() -> None:
    best = ASKED.validate_python({"section": "A", "quantity": SEATS_PER_HOLD_MAX})
    chosen = ASKED.validate_python({"section": "A", "seats": [{"row": 0, "seat": 1}]})
    assert isinstance(best, BestAvailable)
    assert isinstance(chosen, ChosenSeats)
    assert seat_body(SeatPosition(2, 3)) == {"row": 2, "seat": 3}
    assert seat_body(None) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"section": "a", "quantity": 1},
        {"section": "A", "quantity": SEATS_PER_HOLD_MAX + 1},
        {"section": "A", "quantity": "1"},
        {"section": "A", "seats": []},
        {"section": "A", "quantity": 1, "price": 1},
    ],
)
def test_other_forms_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ASKED.validate_python(wrong)
