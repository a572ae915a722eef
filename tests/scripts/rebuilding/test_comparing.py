"""Statuses are verified against the state: what is missing, old, wrong or unknown is told."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs.audit_logs import row_plan

from scripts.rebuilding.comparing import (
    Counts,
    Verdict,
    as_json,
    as_markdown,
    compare,
    counts_of,
)

small = st.integers(0, 50)
keys = st.sampled_from(["1-A", "1-B", "2-A", "2-B"])


@st.composite
def counts(draw: st.DrawFn) -> Counts:
    free, held, sold, blocked = (draw(small) for _ in range(4))
    largest = draw(st.integers(0, free))
    return Counts(draw(small), free, held, sold, blocked, free + held + sold + blocked, largest)


states_ = st.dictionaries(keys, counts())


def status_of(one: Counts, **changes: int) -> dict[str, Any]:
    told = {
        "version": one.version,
        "availableCount": one.free,
        "heldCount": one.held,
        "largestBlock": one.largest_block,
    }
    return told | changes


def told(states: dict[str, Counts]) -> dict[str, dict[str, Any]]:
    return {key: status_of(one) for key, one in states.items()}


@given(states_)
def test_statuses_that_tell_the_state_are_verified(states: dict[str, Counts]) -> None:
    found = compare(states, told(states))
    assert found.is_well
    assert set(found.verdicts.values()) <= {Verdict.EQUAL}
    assert found.seats["capacity"] == sum(one.capacity for one in states.values())


@given(states_, st.dictionaries(keys, counts().map(status_of)))
def test_every_section_has_one_verdict_and_the_sums_add_up(
    states: dict[str, Counts], statuses: dict[str, Any]
) -> None:
    found = compare(states, statuses)
    assert found.verdicts.keys() == states.keys() | statuses.keys()
    assert sum(found.sums.values()) == len(found.verdicts)
    assert found.is_well == (not found.why)
    assert json.loads(json.dumps(as_json(found)))["verified"] == found.is_well


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.EQUAL),
        ({"version": 8}, Verdict.AHEAD),
        ({"version": 8, "availableCount": 0}, Verdict.AHEAD),
        ({"version": 6}, Verdict.BEHIND),
        ({"availableCount": 4}, Verdict.DIFFERS),
        ({"heldCount": 4}, Verdict.DIFFERS),
        ({"largestBlock": 1}, Verdict.DIFFERS),
    ],
)
def test_a_status_stands_to_its_section_by_version_then_by_counts(
    changes: dict[str, int], verdict: Verdict
) -> None:
    state = Counts(7, 5, 2, 1, 0, 8, 3)
    assert compare({"1-A": state}, {"1-A": status_of(state, **changes)}).verdicts == {
        "1-A": verdict
    }


def test_what_is_missing_may_come_and_what_is_wrong_will_not_mend_itself() -> None:
    state = Counts(7, 5, 2, 1, 0, 8, 3)
    missing = compare({"1-A": state}, {})
    assert (missing.verdicts["1-A"], missing.may_become_well) == (Verdict.MISSING, True)
    unknown = compare({}, {"1-A": status_of(state)})
    assert (unknown.verdicts["1-A"], unknown.may_become_well) == (Verdict.UNKNOWN, False)
    lost_seat = compare({"1-A": state._replace(sold=0)}, {"1-A": status_of(state)})
    assert lost_seat.verdicts["1-A"] is Verdict.UNCOUNTED


@given(states_)
def test_the_digest_is_equal_for_equal_topics_and_no_others(states: dict[str, Counts]) -> None:
    statuses = told(states)
    same = compare({}, dict(reversed(statuses.items())))
    assert compare(states, statuses).digest == same.digest
    for key in statuses:
        changed = {**statuses, key: statuses[key] | {"availableCount": -1}}
        assert compare({}, changed).digest != same.digest


def test_counts_come_from_the_stored_records() -> None:
    state = {"version": 3, "free": bytes([0b0011_0111, 0]), "heldCount": 1, "soldCount": 1}
    rows = [row_plan("A", 6, 2), row_plan("B", 1)]
    # Of row A seats 0 to 2, 4 and 5 are free, with an aisle in front of seat 2.
    assert counts_of(state, rows, b"") == Counts(3, 5, 1, 1, 0, 7, 2)
    assert counts_of(state, rows, bytes([0, 1])).blocked == 1


def test_the_report_says_what_is_wrong_and_how_much_more() -> None:
    states = {f"1-S{number:02}": Counts(1, 1, 0, 0, 0, 1, 1) for number in range(25)}
    lines = list(as_markdown(compare(states, {}), "Report"))
    assert lines[0] == "# Report"
    assert "**Not verified.**" in lines
    assert "| statuses missing | 25 |" in lines
    assert "| 1-S00 | missing | version 1 was never told |" in lines
    assert lines[-1] == "| and 5 more | | |"
    good = list(as_markdown(compare(states, told(states)), "Report"))
    assert "**Verified: nothing is missing.**" in good
