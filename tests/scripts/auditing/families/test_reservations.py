"""A reservation goes only where it may go, and ends when its time is over."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.logs.audit_logs import START_MS
from support.logs.facts_by_hand import Finding, findings, following, outcome_of

from scripts.auditing.facts import Facts, Told
from scripts.auditing.families.reservations import check, judge_deadlines
from scripts.auditing.oracle import log_time, model

Step = tuple[str, dict[str, Any]]  # an outcome, and what differs from the usual one

HELD: Step = ("SeatsHeld", {})
SOLD: Step = ("ReservationConfirmed", {})
CANCELLED: Step = ("ReservationReleased", {})
LAPSED: Step = ("ReservationReleased", {"cause": "LAPSED"})
EXTENDED: Step = ("HoldExtended", {})
REJECTED: Step = ("ReservationRejected", {})
NEVER_CAME: Step = ("ReservationReleased", {"epoch": 0, "seats": []})
SOLD_AGAIN: Step = ("ReservationConfirmed", {"epoch": 2, "reacquired": True})
ASTRAY: Step = ("ReservationRejected", {"reason": "WRONG_PARTITION"})
PAYING: Step = ("PaymentStarted", {})
DECLINED: Step = ("ReservationReleased", {"cause": "DECLINED"})
REFUNDED: Step = ("ReservationRefunded", {})
REFUSED: Step = ("CommandRefused", {})

# From docs/commands-and-outcomes.md: none to HELD or REJECTED; HELD to PAYING, SOLD or RELEASED; a
# payment to SOLD or RELEASED; a lapse or a failed payment to SOLD in a new epoch; a sale to
# REFUNDED; a cancellation that came first refuses the hold behind it.
LEGAL: list[list[Step]] = [
    [HELD, EXTENDED, EXTENDED, SOLD],
    [HELD, CANCELLED],
    [HELD, LAPSED, SOLD_AGAIN],
    [REJECTED],
    [NEVER_CAME, REJECTED],
    [HELD, SOLD, ASTRAY, REFUSED],
    [ASTRAY, HELD],
    [HELD, PAYING, SOLD, REFUNDED],
    [HELD, EXTENDED, PAYING, DECLINED, SOLD_AGAIN, ("ReservationRefunded", {"epoch": 2})],
    [HELD, SOLD, REFUNDED],
]
# The last step is the one that may not be.
ILLEGAL: list[list[Step]] = [
    [SOLD],
    [EXTENDED],
    [CANCELLED],
    [HELD, HELD],
    [HELD, SOLD, SOLD],
    [HELD, SOLD, CANCELLED],
    [HELD, CANCELLED, SOLD_AGAIN],
    [HELD, LAPSED, SOLD],
    [HELD, SOLD_AGAIN],
    [HELD, NEVER_CAME],
    [HELD, REJECTED],
    [REJECTED, HELD],
    [NEVER_CAME, HELD],
    [HELD, LAPSED, EXTENDED],
    [HELD, ("ReservationConfirmed", {"epoch": 2})],
    [PAYING],
    [HELD, PAYING, PAYING],
    [HELD, PAYING, LAPSED],
    [HELD, PAYING, CANCELLED],
    [HELD, PAYING, EXTENDED],
    [HELD, PAYING, SOLD_AGAIN],
    [HELD, PAYING, REFUNDED],
    [HELD, LAPSED, PAYING],
    [HELD, ("PaymentStarted", {"epoch": 2})],
    [HELD, DECLINED],
    [HELD, SOLD, DECLINED],
    [HELD, REFUNDED],
    [HELD, SOLD, REFUNDED, REFUNDED],
    [HELD, SOLD, REFUNDED, SOLD_AGAIN],
]


def told(steps: list[Step]) -> list[Told]:
    return [outcome_of(name, at, **fields) for at, (name, fields) in enumerate(steps, start=1)]


@pytest.mark.parametrize("steps", LEGAL)
def test_every_way_of_the_rules_is_legal(steps: list[Step]) -> None:
    assert findings(check, following(*told(steps))) == []


@pytest.mark.parametrize("steps", ILLEGAL)
def test_a_step_beside_the_rules_is_noted_at_its_command(
    steps: list[Step],
) -> None:
    found = findings(check, following(*told(steps)))
    assert found == [("I7", "illegal transition", len(steps))]


def test_two_reservations_go_their_ways_on_their_own() -> None:
    facts = following(outcome_of("SeatsHeld", 1, "r1"), outcome_of("SeatsHeld", 2, "r2"))
    assert findings(check, facts) == []


# Deadlines.

# What a tick that both clocks agree on may end.
OVER = START_MS + log_time.CLOCK_SKEW_MS


def at_ms(now_ms: int, *told: Told, clock_ms: int | None = None) -> Facts:
    """Return facts of a partition whose time stands at `now_ms`; clock_ms: of its timer."""
    facts = following(*told)
    facts.oracle.time.ms = now_ms
    facts.oracle.time.timer_ms = now_ms if clock_ms is None else clock_ms
    return facts


def held(offset: int, deadline_ms: int, reservation_id: str = "r1") -> Told:
    return outcome_of("SeatsHeld", offset, reservation_id, deadlineMs=deadline_ms)


def found(facts: Facts) -> list[Finding]:
    return findings(judge_deadlines, facts)


@given(st.integers(-2, 2), st.integers(-2, 2))
def test_a_hold_is_stranded_when_both_clocks_are_past_its_deadline(log: int, clock: int) -> None:
    facts = at_ms(OVER + log, held(3, OVER), clock_ms=OVER - log_time.CLOCK_SKEW_MS + clock)
    is_over = log >= 0 and clock >= 0
    assert found(facts) == ([("I9", "stranded hold", 3)] if is_over else [])


def test_an_extension_moves_the_deadline_and_strands_as_the_hold_does() -> None:
    longer = outcome_of("HoldExtended", 4, deadlineMs=OVER + 10)
    assert found(at_ms(OVER + 9, held(3, OVER), longer)) == []
    assert found(at_ms(OVER + 10, held(3, OVER), longer)) == [("I9", "stranded hold", 4)]


def test_what_ended_in_time_or_waits_for_money_is_no_hold_any_more() -> None:
    ways: list[tuple[str, dict[str, Any]]] = [
        ("ReservationReleased", {"cause": "LAPSED"}),
        ("ReservationReleased", {"cause": "CANCELLED"}),
        ("ReservationConfirmed", {}),
        ("PaymentStarted", {}),
    ]
    for name, fields in ways:
        others = held(5, OVER, "r2")
        facts = at_ms(OVER, held(3, OVER), outcome_of(name, 4, **fields), others)
        assert found(facts) == [("I9", "stranded hold", 5)]


def test_what_one_record_could_not_end_is_left_to_the_next_one() -> None:
    lapses = [
        outcome_of("ReservationReleased", 9, f"o{number}", cause="LAPSED")
        for number in range(model.LAPSES_PER_RECORD)
    ]
    facts = at_ms(OVER, held(3, OVER), *lapses)
    facts.oracle.next_offset = 10
    assert found(facts) == []
    facts.oracle.next_offset = 11
    assert found(facts) == [("I9", "stranded hold", 3)]


def test_what_has_no_deadline_is_never_stranded() -> None:
    refused = outcome_of("ReservationRejected", 3)
    assert found(at_ms(OVER, refused, outcome_of("SeatsBlocked", 4))) == []


def test_a_hold_that_goes_on_after_its_lapse_takes_a_wrong_step_and_is_stranded() -> None:
    lapse = outcome_of("ReservationReleased", 4, cause="LAPSED")
    longer = outcome_of("HoldExtended", 5, deadlineMs=OVER)
    facts = at_ms(OVER, held(3, OVER), lapse, longer)
    assert findings(check, facts) == [
        ("I7", "illegal transition", 5),
        ("I9", "stranded hold", 5),
    ]
