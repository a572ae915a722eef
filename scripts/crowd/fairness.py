"""Whether a crowd was let in fairly: in order, each once, and nobody lost in the line.

Judged by what each of the crowd was told, and by the order in which the room has let people in.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from state.domain.waiting.admission import TURN_MAX
from state.domain.waiting.line import Turn


@dataclass(slots=True)
class Story:
    """What one of the crowd was told.

    turn:   by the queue token; 0 before it was given one.
    let_in: turns and last moments that this user was told to be in by and until.
    rises:  how often the place was told to be further back than before.
    lost:   how often it was told to have no place, without having been let in.
    sold:   whether seats were bought.
    """

    turn: int = 0
    let_in: set[tuple[int, int]] = field(default_factory=set)
    rises: int = 0
    lost: int = 0
    sold: bool = False

    @property
    def is_served(self) -> bool:
        """Say whether this user was let in."""
        return bool(self.let_in)


@dataclass(frozen=True, slots=True)
class Fairness:
    """The figures.

    entered, admitted: users. admitted_twice: times that somebody was let in beyond the first.
    order_violations: users who were let in before somebody with a lower turn who waited, and
    places that were told to be further back. lost_in_line: users who had a turn and neither were
    let in nor wait at it.
    """

    entered: int
    admitted: int
    admitted_twice: int
    order_violations: int
    lost_in_line: int

    @property
    def is_fair(self) -> bool:
        return not (self.admitted_twice or self.order_violations or self.lost_in_line)

    @property
    def figures(self) -> dict[str, Any]:
        """Return them by name, as `--summary` writes them."""
        return {name: getattr(self, name) for name in self.__slots__}


def judge(
    stories: Mapping[str, Story], promoted: Sequence[Turn], waiting: Mapping[str, int]
) -> Fairness:
    """Judge a crowd of which nobody has left.

    promoted: who was let in, in that order. waiting: turn of each who waits at the end.
    """
    entered = {user: story.turn for user, story in stories.items() if story.turn}
    let_in = {turn.user_id for turn in promoted}
    lost = {
        user
        for user, turn in entered.items()
        if stories[user].lost or (user not in let_in and waiting.get(user) != turn)
    }
    return Fairness(
        entered=len(entered),
        admitted=len(let_in),
        admitted_twice=_beyond_the_first(promoted, stories.values()),
        order_violations=_overtaken(promoted, waiting)
        + sum(story.rises for story in stories.values()),
        lost_in_line=len(lost),
    )


def _beyond_the_first(promoted: Sequence[Turn], stories: Iterable[Story]) -> int:
    times = Counter(turn.user_id for turn in promoted)
    by_room = sum(count - 1 for count in times.values())
    # The one is what the room has done, the other what was told of it.
    by_telling = sum(max(0, len(story.let_in) - 1) for story in stories)
    return max(by_room, by_telling)


def _overtaken(promoted: Sequence[Turn], waiting: Mapping[str, int]) -> int:
    """Return how many were let in before somebody who had a lower turn, and was there."""
    lowest_after, count = min(waiting.values(), default=TURN_MAX), 0
    for _, turn in reversed(promoted):
        count += turn > lowest_after
        lowest_after = min(turn, lowest_after)
    return count
