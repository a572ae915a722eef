"""Every seat that an outcome names is one of its section's layout."""

import pytest
from support.logs.facts_by_hand import (
    Fields,
    facts_by_hand,
    findings,
    outcome_of,
    seats,
    with_section,
)

from scripts.auditing.families.layouts import check


@pytest.mark.parametrize("part", [seats(0, 0, 3), seats(1, 1, 1), []])
def test_seats_of_the_layout_are_fine(part: list[Fields]) -> None:
    facts = with_section(facts_by_hand(), 3, 2)
    facts.followed = [outcome_of("SeatsHeld", 1, seats=part)]
    assert findings(check, facts) == []


@pytest.mark.parametrize(
    ("part", "count"), [(seats(0, 2, 2), 1), (seats(2, 0, 2), 2), (seats(1, -1, 2), 1)]
)
def test_each_seat_that_no_row_has_is_noted(part: list[Fields], count: int) -> None:
    facts = with_section(facts_by_hand(), 3, 2)
    facts.followed = [outcome_of("SeatsHeld", 1, seats=part)]
    assert findings(check, facts) == [("I2", "unknown seat", 1)] * count


def test_a_section_that_was_never_opened_has_no_seats() -> None:
    facts = facts_by_hand()
    facts.followed = [outcome_of("SeatsHeld", 1)]
    assert findings(check, facts) == [("I2", "unknown seat", 1)]


def test_more_seats_than_any_section_has_are_one_finding() -> None:
    facts = facts_by_hand()
    facts.countless = [outcome_of("SeatsHeld", 1, seats=seats(0, 0, 2**31 - 1))]
    assert findings(check, facts) == [("I2", "unknown seat", 1)]
