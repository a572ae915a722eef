"""Figures of the waiting room: how often who asks, how many are let in, what is promised."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.waiting.admission import (
    MISSED_POLLS,
    NOT_OPEN_PATIENCE_MS,
    NOWHERE,
    STALE_MS,
    TURN_MAX,
    TURNS_PER_S,
    Place,
    Room,
    RoomState,
    Standing,
    buyable,
    expected_wait_ms,
    may_wait,
    poll_after_ms,
)

OPEN = Room(RoomState.OPEN, 10, 0, "", 500, 3, 503, 0, 0, 0, -1, 2.0, 0)
FRONT = Place(Standing.WAITING, 1, 0)
BEHIND = Place(Standing.WAITING, 1, 101)

rooms = st.builds(
    Room,
    st.sampled_from(RoomState),
    st.integers(0, 50),
    st.integers(0, 100),
    st.just(""),
    st.integers(0, 20_000),
    st.integers(0, 60),
    *[st.integers(0, 9)] * 4,
    st.integers(-1, 60),
    st.floats(0, 1_000),
    st.integers(0, 9),
)
places = st.builds(Place, st.sampled_from(Standing), st.just(1), st.integers(0, 20_000))


@pytest.mark.parametrize(
    ("place", "changes", "expected_ms"),
    [
        (FRONT, {}, 5_000),
        (NOWHERE, {}, 5_000),
        (Place(Standing.ADMITTED, 1), {}, 1_000),
        (FRONT, {"state": RoomState.PAUSED}, 30_000),
        (FRONT, {"state": RoomState.CLOSED}, 30_000),
        # Whoever is in has to be heard of, whatever became of the room.
        (Place(Standing.ADMITTED, 1), {"state": RoomState.CLOSED}, 1_000),
        (FRONT, {"admitted": 10}, 8_000),
        (FRONT, {"limit": 0}, 8_000),
        (BEHIND, {"waiting": 999}, 5_000),
        (BEHIND, {"waiting": 1_000}, 7_000),
        (BEHIND, {"waiting": 4_999}, 7_000),
        (BEHIND, {"waiting": 5_000}, 10_000),
        (BEHIND, {"waiting": 1_000, "admitted": 10}, 8_000),
        (BEHIND, {"waiting": 5_000, "admitted": 10}, 10_000),
        (Place(Standing.WAITING, 1, 100), {"waiting": 5_000}, 5_000),
    ],
)
def test_s000_15_who_waits_asks_as_often_as_the_document_says(
    place: Place, changes: dict[str, Any], expected_ms: int
) -> None:
    assert poll_after_ms(place, OPEN._replace(**changes)) == expected_ms


@given(rooms, places)
def test_s000_17_nobody_is_given_up_before_three_polls_are_missed(
    room: Room, place: Place
) -> None:
    patience_ms = STALE_MS if room.is_open else NOT_OPEN_PATIENCE_MS
    assert poll_after_ms(place, room) * MISSED_POLLS <= patience_ms


@given(rooms)
def test_q02_slots_never_lead_beyond_the_cap_nor_beyond_what_can_be_bought(room: Room) -> None:
    after = room.admitted + room.slots
    assert room.slots == 0 or after <= room.cap
    assert room.slots == 0 or room.limit < 0 or after <= room.limit
    assert room.slots >= 0


def test_a_cap_below_those_who_are_in_throws_nobody_out() -> None:
    assert OPEN._replace(cap=2, admitted=5).slots == 0


@pytest.mark.parametrize(
    ("cap", "limit", "expected"), [(5, 0, True), (5, -1, False), (0, 0, False)]
)
def test_q20_sold_out_is_not_a_cap_of_nothing(cap: int, limit: int, expected: bool) -> None:
    assert OPEN._replace(cap=cap, limit=limit).is_sold_out is expected


@given(rooms, st.integers(0, 5_000), st.integers(0, 5_000))
def test_d37_who_stands_further_back_is_told_no_shorter_wait(
    room: Room, one: int, other: int
) -> None:
    near, far = sorted((one, other))
    told = [expected_wait_ms(Place(Standing.WAITING, 1, rank), room) for rank in (near, far)]
    assert (told[0] is None) == (told[1] is None)
    assert told[0] is None or told[1] is None or told[0] <= told[1]


def test_d37_an_estimate_is_the_place_by_the_pace() -> None:
    assert expected_wait_ms(Place(Standing.WAITING, 1, 19), OPEN) == 10_000
    assert expected_wait_ms(FRONT, OPEN._replace(pace=0.0)) is None
    assert expected_wait_ms(FRONT, OPEN._replace(state=RoomState.PAUSED)) is None
    assert expected_wait_ms(NOWHERE, OPEN) is None


@pytest.mark.parametrize(
    ("free", "held", "percent", "expected"),
    [
        (100, 0, 20, 100),
        (100, 50, 20, 110),
        (0, 0, 20, 0),
        (0, 3, 20, 1),
        (0, 1, 0, 1),
        (5, 3, 0, 5),
        (-1, 0, 20, 0),
    ],
)
def test_d35_seats_and_what_comes_back_of_holds_are_what_can_be_bought(
    free: int, held: int, percent: int, expected: int
) -> None:
    assert buyable(free, held, percent) == expected


@given(st.integers(0, 1_000), st.integers(0, 1_000), st.integers(0, 100))
def test_u6_nothing_can_be_bought_exactly_where_all_is_sold(
    free: int, held: int, percent: int
) -> None:
    assert (buyable(free, held, percent) == 0) == (free + held == 0)
    assert buyable(free, held, percent) <= free + held


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("ann", True),
        ("Ænne Müller", True),
        ("é" * 32, True),
        ("", False),
        ("é" * 33, False),
        ("x" * 10_240, False),
        ("a\nb", False),
        ("a\0b", False),
        ("\ud800", False),
        ("\u202eevil", False),
    ],
)
def test_q18_only_a_name_of_1_to_64_printable_bytes_waits(user: str, expected: bool) -> None:
    assert may_wait(user) is expected


def test_q17_turns_of_this_century_are_exact_in_a_double() -> None:
    first_of_2100 = 4_102_444_800 * TURNS_PER_S
    assert first_of_2100 <= TURN_MAX < 2**53
    assert float(TURN_MAX) == TURN_MAX
