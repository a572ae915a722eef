"""A table says all that may follow; what it does not say is refused, with both names."""

from enum import Enum

import pytest

from state.domain.transitions import IllegalTransition, advance


class Door(Enum):
    OPEN = 0
    SHUT = 1


class Hand(Enum):
    PUSHES = 0
    PULLS = 1


TABLE = {Door.OPEN: {Hand.PUSHES: Door.SHUT}, Door.SHUT: {Hand.PULLS: Door.OPEN}}


def test_the_table_says_which_status_follows() -> None:
    assert advance(TABLE, Door.OPEN, Hand.PUSHES) is Door.SHUT
    assert advance(TABLE, Door.SHUT, Hand.PULLS) is Door.OPEN


def test_what_the_table_does_not_say_is_refused_by_name() -> None:
    with pytest.raises(IllegalTransition, match="OPEN x PULLS"):
        advance(TABLE, Door.OPEN, Hand.PULLS)


def test_a_status_without_a_row_is_refused_too() -> None:
    with pytest.raises(IllegalTransition, match="SHUT x PUSHES"):
        advance({Door.OPEN: {Hand.PUSHES: Door.SHUT}}, Door.SHUT, Hand.PUSHES)
