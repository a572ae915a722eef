"""A window has its days to come, each once, none dark, whatever clock and calendar do."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.issued.slots import (
    DAYS_MAX,
    TOP_UP_MS,
    Rules,
    Slot,
    begun,
    slot_on,
    to_come,
    topped_up,
)

BERLIN = ZoneInfo("Europe/Berlin")
RULES = Rules(BERLIN)
DAY_MS = 86_400_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def days(slots: tuple[Slot, ...]) -> list[str]:
    return [date.fromordinal(slot.day).isoformat() for slot in slots]


def test_seven_working_days_from_tomorrow_on_at_four_in_the_afternoon() -> None:
    # A Friday.
    slots = begun((), ms("2026-11-27T10:00+01:00"), RULES)
    assert days(slots) == [
        *("2026-11-30", "2026-12-01", "2026-12-02", "2026-12-03", "2026-12-04"),
        *("2026-12-07", "2026-12-08"),
    ]
    assert slots[0].starts_ms == ms("2026-11-30T16:00+01:00")


def test_today_is_that_of_the_place_and_not_of_the_server() -> None:
    # Late on Thursday in London is Friday in Auckland.
    now_ms = ms("2026-11-26T20:00+00:00")
    there = Rules(ZoneInfo("Pacific/Auckland"))
    assert days(begun((), now_ms, there))[0] == "2026-11-30"
    assert days(begun((), now_ms, Rules(UTC)))[0] == "2026-11-27"


def test_slots_keep_their_time_of_day_over_a_change_of_clocks() -> None:
    slots = begun((), ms("2026-10-22T10:00+02:00"), RULES)
    assert days(slots)[:2] == ["2026-10-23", "2026-10-26"]
    assert [slot.starts_ms for slot in slots[:2]] == [
        *(ms("2026-10-23T16:00+02:00"), ms("2026-10-26T16:00+01:00"))
    ]


@pytest.mark.parametrize(
    ("day", "starts"),
    [("2026-03-29", "2026-03-29T03:30+02:00"), ("2026-10-25", "2026-10-25T02:30+02:00")],
    ids=["left out", "twice"],
)
def test_a_time_that_is_left_out_or_comes_twice_is_one_time(day: str, starts: str) -> None:
    rules = RULES._replace(at=time(2, 30))
    assert slot_on(date.fromisoformat(day), rules).starts_ms == ms(starts)


def test_it_is_filled_again_when_fewer_than_three_are_left_behind_its_last_day() -> None:
    slots = begun((), ms("2026-11-27T10:00+01:00"), RULES)
    # Three are left: the last of them is the eighth of December.
    assert topped_up(slots, ms("2026-12-04T15:59+01:00"), RULES) == slots
    filled = topped_up(slots, ms("2026-12-04T16:00+01:00"), RULES)
    assert filled[:7] == slots
    assert days(filled[7:]) == [
        *("2026-12-09", "2026-12-10", "2026-12-11", "2026-12-14", "2026-12-15")
    ]


def test_a_window_that_nobody_looked_at_for_long_begins_tomorrow() -> None:
    slots = begun((), ms("2026-11-27T10:00+01:00"), RULES)
    later = topped_up(slots, ms("2027-01-05T10:00+01:00"), RULES)
    assert days(later[7:])[0] == "2027-01-06"
    assert len(later) == 14


rules = st.builds(
    Rules,
    st.sampled_from([BERLIN, UTC, ZoneInfo("Pacific/Auckland"), ZoneInfo("America/New_York")]),
    st.times().map(lambda at: at.replace(microsecond=0, tzinfo=None)),
    window=st.integers(1, 10),
    least=st.integers(0, 10),
    dark=st.frozensets(st.integers(0, 6), max_size=6),
)
# Also a clock that goes back, or a year ahead.
looks = st.lists(st.integers(-DAY_MS, 400 * DAY_MS) | st.integers(0, TOP_UP_MS), max_size=12)
START_MS = ms("2026-11-27T10:00+01:00")


@given(rules, looks)
def test_no_day_twice_none_dark_and_never_more_to_come_than_a_window(
    given_rules: Rules, given_looks: list[int]
) -> None:
    now_ms = START_MS
    slots = begun((), now_ms, given_rules)
    for step in given_looks:
        now_ms += step
        before, slots = slots, topped_up(slots, now_ms, given_rules)
        assert slots[: len(before)] == before
        left = len(to_come(before, now_ms))
        assert len(to_come(slots, now_ms)) <= max(given_rules.window, left)
        if left < given_rules.least and all(slot.starts_ms <= now_ms for slot in before):
            assert len(to_come(slots, now_ms)) == given_rules.window
    days_of = [slot.day for slot in slots]
    assert len(set(days_of)) == len(days_of)
    assert not {date.fromordinal(day).weekday() for day in days_of} & given_rules.dark


@given(rules, st.integers(0, 400), st.integers(1, 400))
def test_a_clock_that_jumped_ahead_and_back_fills_nobodys_calendar(
    given_rules: Rules, ahead: int, looks_after: int
) -> None:
    slots = begun((), START_MS + ahead * DAY_MS, given_rules)
    for _ in range(min(looks_after, 20)):
        slots = topped_up(slots, START_MS, given_rules)
    last = max(slot.day for slot in slots)
    assert last <= date(2026, 11, 27).toordinal() + ahead + DAYS_MAX + 1
    assert len(slots) == given_rules.window or given_rules.least > given_rules.window
