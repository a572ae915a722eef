"""Seats of a row are read along its line; what is no line keeps the order of the file."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.plan_documents import around

from state.plans.row_order import (
    Point,
    aisles_between,
    farthest,
    order_along,
    order_of,
    pitches,
    turns_back,
)

PLANE = st.integers(-50, 50).map(float)
ROWS = st.lists(st.tuples(PLANE, PLANE), min_size=1, max_size=15, unique=True)


@given(ROWS)
def test_every_seat_is_in_the_order_once(points: list[Point]) -> None:
    order, is_line = order_of(points)
    assert sorted(order) == list(range(len(points)))
    assert is_line != turns_back([points[at] for at in order_along(points)])
    if not is_line:
        assert order == sorted(order)


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=20, unique=True),
    st.floats(0, 2 * math.pi),
)
def test_a_straight_row_is_read_along_its_line_in_the_direction_of_the_file(
    places: list[int], angle: float
) -> None:
    points = [(place * math.cos(angle), place * math.sin(angle)) for place in places]
    order, is_line = order_of(points)
    assert is_line
    is_forward = places[0] <= places[-1]
    assert [places[at] for at in order] == sorted(places, reverse=not is_forward)


@given(st.integers(4, 30))
def test_a_round_table_is_no_line(count: int) -> None:
    assert order_of(around(count)) == (list(range(count)), False)


@pytest.mark.parametrize(
    ("points", "turns"),
    [
        ([], False),
        ([(0.0, 0.0)], False),
        ([(0.0, 0.0), (1.0, 0.0)], False),
        # A right angle is no turning back; a little more is.
        ([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)], False),
        ([(0.0, 0.0), (1.0, 0.0), (0.9, 1.0)], True),
        ([(0.0, 0.0), (2.0, 0.0), (1.0, 0.0)], True),
    ],
)
def test_a_way_turns_back_from_more_than_a_right_angle(points: list[Point], turns: bool) -> None:
    assert turns_back(points) == turns


def test_the_farthest_of_two_equal_ones_is_the_first() -> None:
    assert farthest([(0.0, 0.0), (3.0, 4.0), (-3.0, 4.0)], (0.0, 0.0)) == 1


# Two sides of a long table, listed one after the other: 10 between seats, 50 across.
SIDES = [(0.0, 0.0), (10.0, 0.0), (20.0, 0.0), (0.0, 50.0), (10.0, 50.0), (20.0, 50.0)]


def test_a_pitch_is_measured_to_the_next_seat_of_a_line_and_else_to_the_nearest() -> None:
    assert pitches(SIDES[:3], is_line=True) == [10.0, 10.0]
    assert pitches(SIDES, is_line=False) == [10.0] * 6
    assert pitches([(0.0, 0.0)], is_line=True) == []


@pytest.mark.parametrize(
    ("places", "zone_pitch", "aisles"),
    [
        ([0.0], 10.0, []),
        ([], 10.0, []),
        ([0, 10, 26], 10.0, []),
        ([0, 10, 26.1], 10.0, [2]),
        # Two seats alone are judged by the zone, three distances and more by themselves.
        ([0, 20], 10.0, [1]),
        ([0, 20, 40, 60], 10.0, []),
        ([0, 20, 40, 80], 10.0, [3]),
        # A row narrower than its zone is judged by itself.
        ([0, 5, 10, 20], 10.0, [3]),
    ],
)
def test_an_aisle_is_a_gap_of_more_than_1_6_pitches(
    places: list[float], zone_pitch: float, aisles: list[int]
) -> None:
    points = [(float(place), 0.0) for place in places]
    assert aisles_between(points, zone_pitch, is_line=True) == aisles


def test_from_side_to_side_of_a_table_is_an_aisle() -> None:
    assert aisles_between(SIDES, 10.0, is_line=False) == [3]
