"""The version of the rules that a tick begins stands in its key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.folding.ticks import GUARDED_TICK_KEY, TICK_KEY, is_tick_key, tick_version


@given(st.integers(1, 10**9 - 1))
def test_a_numbered_tick_begins_the_rules_of_its_number(version: int) -> None:
    assert tick_version(b"tick-%d" % version) == version


def test_the_keys_that_were_ever_written_begin_the_first_and_the_second_rules() -> None:
    assert (tick_version(TICK_KEY), tick_version(GUARDED_TICK_KEY)) == (1, 2)


@pytest.mark.parametrize(
    "key",
    [None, b"", b"tick-", b"tick-0", b"tick-02", b"tick-x", b"tick-3 ", b"tick-" + b"9" * 99],
)
def test_f29_a_strangers_key_names_no_newer_version(key: bytes | None) -> None:
    assert tick_version(key) == 1


@pytest.mark.parametrize(
    ("key", "is_tick"),
    [
        (TICK_KEY, True),
        (GUARDED_TICK_KEY, True),
        (b"tick-0", False),
        (b"1-A", False),
        (None, False),
    ],
)
def test_a_tick_is_known_by_its_key(key: bytes | None, is_tick: bool) -> None:
    assert is_tick_key(key) is is_tick
