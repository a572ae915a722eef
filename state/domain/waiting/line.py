"""The line of an event, put together from what was ever told of its turns.

What is told are facts, each true for ever: a turn was given out, its user was let in, it is over.
So they may be told in any order and any number of times, by whichever pod comes first.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple


class Step(IntEnum):
    """What came of a turn; the number is the index of the symbol in the Avro enum.

    GIVEN:    it was given out, and its user waits. ADMITTED: its user was let in by it, and no
              other is by it. ENDED: given back, or the admission is over.
    """

    UNSPECIFIED = 0
    GIVEN = 1
    ADMITTED = 2
    ENDED = 3


class Turn(NamedTuple):
    """Whose turn it is, or was."""

    user_id: str
    turn: int


class Fact(NamedTuple):
    """One step of one turn.

    last_ms: of who was let in: Unix ms at which that ends at the latest; else 0.
    """

    user_id: str
    turn: int
    step: Step
    last_ms: int = 0


class Stands(NamedTuple):
    """What is to be known of one user; step: GIVEN who waits, ADMITTED who is in, else ENDED."""

    user_id: str
    turn: int
    step: Step
    last_ms: int = 0


def line_of(facts: Iterable[Fact]) -> tuple[Stands, ...]:
    """Return where everybody stands, in the order of their turns.

    Who waits does so at the last turn that was given out, unless that or a later one was used up.
    Of who was let in, whether the time is over is not looked at.
    """
    given: dict[str, int] = {}
    admitted: dict[str, tuple[int, int]] = {}
    ended: dict[str, int] = {}
    for user, turn, step, last_ms in facts:
        if step is Step.GIVEN:
            given[user] = max(turn, given.get(user, 0))
        elif step is Step.ADMITTED:
            admitted[user] = max((turn, last_ms), admitted.get(user, (0, 0)))
        elif step is Step.ENDED:
            ended[user] = max(turn, ended.get(user, 0))
    found = []
    for user in {*given, *admitted, *ended}:
        let_in, last_ms = admitted.get(user, (0, 0))
        over = ended.get(user, 0)
        if given.get(user, 0) > max(let_in, over):
            found.append(Stands(user, given[user], Step.GIVEN))
        elif let_in > over:
            found.append(Stands(user, let_in, Step.ADMITTED, last_ms))
        else:
            found.append(Stands(user, max(let_in, over), Step.ENDED))
    return tuple(sorted(found, key=lambda one: (one.turn, one.user_id.encode())))
