"""S004.3, S004.5, S004.7, S004.9, S004.10: pauses, estimates, bounds and the turns of events."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.booking_queue.figures import (
    CLEAN_EVERY_MS,
    CLEANED_AT_ONCE,
    DEAD_MS,
    ITEM_MS,
    LEASE_MS,
    LENGTH_MAX,
    RETRIES_MAX,
    expected_wait_ms,
    in_turn,
    pause_ms,
)

events = st.sets(st.integers(0, 30))


def test_s004_10_pauses_double_from_five_seconds_and_three_retries_are_the_most() -> None:
    assert [pause_ms(failed) for failed in (1, 2, 3, 4)] == [5_000, 10_000, 20_000, None]
    assert RETRIES_MAX == 3


def test_s004_10_no_pause_is_longer_than_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("state.domain.booking_queue.figures.RETRIES_MAX", 9)
    assert [pause_ms(failed) for failed in (3, 4, 9)] == [20_000, 30_000, 30_000]


def test_a_lease_outlives_the_deadlines_of_an_attempt() -> None:
    """An attempt is two calls of 30 s at most."""
    assert LEASE_MS >= 2 * 30_000


def test_s004_7_an_item_has_a_quarter_of_an_hour_and_each_half_minute_a_hundred_are_cleaned() -> (
    None
):
    assert (ITEM_MS, CLEAN_EVERY_MS, CLEANED_AT_ONCE) == (900_000, 30_000, 100)


def test_s004_9_a_worker_has_an_item_for_two_minutes_and_the_dead_are_kept_for_thirty_days() -> (
    None
):
    assert (LEASE_MS, DEAD_MS) == (120_000, 2_592_000_000)


def test_s004_10_an_event_has_a_hundred_thousand_items_at_most() -> None:
    assert LENGTH_MAX == 100_000


def test_s004_3_each_place_is_expected_to_take_five_seconds() -> None:
    assert [expected_wait_ms(position) for position in (0, 1, 100)] == [0, 5_000, 500_000]


@given(events, st.none() | st.integers(0, 30))
def test_every_event_has_its_turn_once_and_the_last_one_comes_last(
    those: set[int], last: int | None
) -> None:
    turns = in_turn(those, last)
    assert sorted(turns) == sorted(those)
    if last in those:
        assert turns[-1] == last


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(1, 60))
def test_s004_5_no_event_is_served_twice_while_another_waits(those: set[int], rounds: int) -> None:
    served, last = [], None
    for _ in range(rounds):
        last = in_turn(those, last)[0]
        served.append(last)
    counts = [served.count(event) for event in those]
    assert max(counts) - min(counts) <= 1
    assert len(those) == 1 or all(one != next_ for one, next_ in pairwise(served))
