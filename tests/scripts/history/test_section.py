"""A layout names its seats as tickets do, and a state says who has each."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs.audit_logs import row_plan

from scripts.history.section import Layout, bits_of, present_seats
from scripts.history.timeline import FREE, Seat, Use

LAYOUT = Layout(
    [
        row_plan("A", 9, 4) | {"firstNumber": 10, "numberStep": -1},
        row_plan("", 3) | {"seatLabels": ["x", "y", "x"]},
    ]
)


@given(st.sets(st.sampled_from(LAYOUT.places())))
def test_a_bitmap_has_the_seats_whose_bits_are_set(chosen: set[tuple[int, int]]) -> None:
    packed = b""
    for number, row in enumerate(LAYOUT.rows):
        bits = sum(1 << seat for at, seat in chosen if at == number)
        packed += bits.to_bytes((row["seatCount"] + 7) // 8, "little")
    assert bits_of(LAYOUT, packed) == chosen


@pytest.mark.parametrize(
    ("row", "seat", "places"),
    [
        ("A", "10", [(0, 0)]),
        ("A", "2", [(0, 8)]),
        ("A", "@0", [(0, 0)]),
        ("@1", "x", [(1, 0), (1, 2)]),
        ("", "y", [(1, 1)]),
        ("B", "1", []),
        ("@7", "@0", []),
    ],
)
def test_a_seat_is_found_by_its_labels_or_indexes(
    row: str, seat: str, places: list[tuple[int, int]]
) -> None:
    assert LAYOUT.find(row, seat) == places


@given(st.sampled_from(LAYOUT.places()))
def test_the_label_of_a_seat_finds_it(place: tuple[int, int]) -> None:
    row = LAYOUT.rows[place[0]]["label"]
    assert place in LAYOUT.find(row, LAYOUT.seat_label(place))


def test_aisles_are_the_layouts() -> None:
    assert LAYOUT.aisles() == {0: frozenset({4}), 1: frozenset()}


def reservation(status: str, row: int, first: int, count: int) -> dict[str, Any]:
    return {
        "request": {"reservationId": status.lower()},
        "status": status,
        "seats": [{"row": row, "first": first, "count": count}],
    }


def test_each_seat_is_free_blocked_or_of_a_reservation_that_has_seats() -> None:
    rows = Layout([row_plan("A", 5)])
    free, blocked = bytes([0b00001]), bytes([0b00010])
    some = [reservation("SOLD", 0, 2, 1), reservation("RELEASED", 0, 3, 1)]
    seats = present_seats(rows, {"free": free}, blocked, some)
    assert seats[0, 0] == FREE
    assert seats[0, 1] == Seat(Use.BLOCKED)
    assert seats[0, 2] == Seat(Use.SOLD, "sold")
    # Neither free nor of anybody: said so rather than made up.
    assert seats[0, 3] == Seat(Use.HELD, "?")
