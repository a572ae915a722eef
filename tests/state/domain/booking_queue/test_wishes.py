"""What may be asked for is what a hold may be, and what is wrong is said by its field."""

from typing import Any

import pytest

from state.domain.booking_queue.wishes import (
    METADATA_MAX,
    Wish,
    fault_of,
    fault_of_ids,
)
from state.domain.keys import EVENT_ID_MAX
from state.domain.layout import SEATS_PER_HOLD_MAX

BEST = Wish("A-1", (), 2, 0, "", ())
CHOSEN = Wish("A-1", ((0, 0), (0, 1)), 2, 5_000, "EUR", (("by", "gate 7"),))


@pytest.mark.parametrize(
    "wish",
    [
        BEST,
        CHOSEN,
        BEST._replace(seat_count=SEATS_PER_HOLD_MAX),
        BEST._replace(currency="EUR"),
        CHOSEN._replace(seats=((2**31 - 1, 0), (0, 2**31 - 1))),
        BEST._replace(metadata=tuple((f"{at}", "é" * 128) for at in range(METADATA_MAX))),
    ],
)
def test_what_a_hold_may_be_may_be_asked_for(wish: Wish) -> None:
    assert fault_of(wish) == ""


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"section": ""}, "section"),
        ({"section": "a"}, "section"),
        ({"section": "A" * 33}, "section"),
        ({"section": "A\n"}, "section"),
        ({"section": "A}"}, "section"),
        ({"seat_count": 0, "seats": ()}, "seat_count"),
        ({"seat_count": SEATS_PER_HOLD_MAX + 1, "seats": ()}, "seat_count"),
        ({"seat_count": 1}, "seat_count"),
        ({"seats": ((-1, 0), (0, 0))}, "seats"),
        ({"seats": ((0, 2**31), (0, 0))}, "seats"),
        ({"seats": ((0, 0), (0, 0))}, "seats"),
        ({"amount": -1}, "total_amount"),
        ({"amount": 2**63}, "total_amount"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "EURO"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"metadata": tuple((f"{at}", "") for at in range(METADATA_MAX + 1))}, "metadata"),
        ({"metadata": (("k" * 129, ""),)}, "metadata"),
        ({"metadata": (("k", "v" * 129),)}, "metadata"),
    ],
)
def test_what_no_hold_may_be_is_refused_by_its_field(changes: dict[str, Any], field: str) -> None:
    assert fault_of(CHOSEN._replace(**changes)).startswith(f"{field}:")


@pytest.mark.parametrize(
    ("event", "key", "expected"),
    [
        (0, "k", ""),
        (EVENT_ID_MAX, "~" * 255, ""),
        (-1, "k", "event_id"),
        (EVENT_ID_MAX + 1, "k", "event_id"),
        (1, "", "idempotency_key"),
        (1, "k" * 256, "idempotency_key"),
        (1, "k\n", "idempotency_key"),
        (1, "é", "idempotency_key"),
    ],
)
def test_what_names_an_item_is_what_names_a_reservation(
    event: int, key: str, expected: str
) -> None:
    assert fault_of_ids(event, key).partition(":")[0] == expected
