"""Pauses double up to their cap, and figures that mean nothing are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.patience import RETRIES, Patience, retries


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers(1, 200))
def test_a_pause_is_twice_the_last_one_up_to_the_cap(first: int, more: int, failed: int) -> None:
    patience = Patience(100, first, first + more)
    pause, after = patience.pause_ms(failed), patience.pause_ms(failed + 1)
    assert first <= pause <= first + more
    assert after == min(2 * pause, first + more)


def test_the_figures_are_those_of_the_source_document() -> None:
    figures = {role: (one.attempts, one.first_ms, one.cap_ms) for role, one in RETRIES.by_role}
    assert figures == {
        "issue_purchases": (3, 1_000, 30_000),
        "allocate_purchases": (5, 2_000, 60_000),
        "schedule_slots": (3, 1_000, 30_000),
        "invalidate_caches": (3, 500, 5_000),
    }


def test_a_setting_changes_the_roles_that_it_names() -> None:
    told = retries("issue_purchases=4:0.5:8, mail=2:1:1")
    assert told.of("issue_purchases") == Patience(4, 500, 8_000)
    assert told.of("mail") == Patience(2, 1_000, 1_000)
    assert told.of("schedule_slots") == RETRIES.of("schedule_slots")
    assert told.of("unnamed") == Patience()


@pytest.mark.parametrize(
    "text",
    [
        "mail",
        "mail=3",
        "mail=3:1",
        "mail=0:1:2",
        "mail=3:2:1",
        "mail=3:nan:2",
        "mail=3:1:inf",
        "mail=3:-1:2",
        "mail=101:1:2",
        "mail=x:1:2",
        "=3:1:2",
        "mail=3:1:2,",
    ],
)
def test_what_is_no_patience_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        retries(text)
