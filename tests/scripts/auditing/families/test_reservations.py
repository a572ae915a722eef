"""A reservation goes only from where it stands to where it may go."""

from typing import Any

import pytest
from support.logs.facts_by_hand import findings, following, outcome_of

from scripts.auditing.facts import Told
from scripts.auditing.families.reservations import check

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
