"""A filter asks for what it names, and times are said as people say them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.letters.letter import Letter, Origin
from scripts.letters.wanted import Wanted, as_time, moment

NOW_MS = 1_800_000_000_000


def letter(**changes: Any) -> Letter:
    given_ = {
        "partition": 1,
        "offset": 5,
        "at_ms": NOW_MS,
        "origin": Origin("section-commands", 1, 9, NOW_MS),
        "cause": "SCHEMA",
        "message": "",
        "key": b"1-A",
        "value": b"",
        "headers": (),
        "told": {"correlation-id": "c1"},
        "cut": "",
    }
    return Letter(**{**given_, **changes})


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        (Wanted(), True),
        (Wanted(causes={"SCHEMA", "LOST"}), True),
        (Wanted(causes={"LOST"}), False),
        (Wanted(topics={"cart-commands"}), False),
        (Wanted(keys={b"1-A"}, places={"1:5"}), True),
        (Wanted(keys={b"1-A"}, places={"1:6"}), False),
        (Wanted(correlation="c2"), False),
        (Wanted(since_ms=NOW_MS, until_ms=NOW_MS + 1), True),
        (Wanted(since_ms=NOW_MS + 1), False),
        (Wanted(until_ms=NOW_MS), False),
    ],
)
def test_a_filter_has_what_every_part_of_it_has(wanted: Wanted, has: bool) -> None:
    assert wanted.has(letter()) is has


@pytest.mark.parametrize(
    ("said", "ms"),
    [
        ("90m", NOW_MS - 90 * 60_000),
        ("2d", NOW_MS - 2 * 86_400_000),
        (str(NOW_MS), NOW_MS),
        ("2026-11-27T12:00:00", 1_795_780_800_000),
        ("2026-11-27T13:00:00+01:00", 1_795_780_800_000),
    ],
)
def test_a_time_is_ago_or_unix_ms_or_of_the_calendar(said: str, ms: int) -> None:
    assert moment(said, NOW_MS) == ms


@pytest.mark.parametrize("said", ["", "soon", "12", "1h30m"])
def test_what_is_no_time_is_refused(said: str) -> None:
    with pytest.raises(ValueError):
        moment(said, NOW_MS)


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_that_is_shown_is_read_as_itself(ms: int) -> None:
    assert moment(as_time(ms), NOW_MS) == ms


def test_a_time_that_no_calendar_has_is_shown_as_its_number() -> None:
    assert as_time(2**62) == str(2**62)
