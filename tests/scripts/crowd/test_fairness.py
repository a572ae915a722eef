"""Who was overtaken, let in twice or lost is counted; in a crowd served fairly nobody is."""

import pytest

from scripts.crowd.fairness import Fairness, Story, judge
from state.domain.waiting.line import Turn

FAIR = Fairness(entered=4, admitted=2, admitted_twice=0, order_violations=0, lost_in_line=0)
PROMOTED = [Turn("ann", 1), Turn("ben", 2)]
WAITING = {"cy": 3, "dee": 4}


def stories() -> dict[str, Story]:
    told = {user: Story(turn) for turn, user in enumerate(("ann", "ben", "cy", "dee"), 1)}
    told["ann"].let_in.add((1, 9))
    told["ben"].let_in.add((2, 9))
    # Came when all was over.
    told["eve"] = Story()
    return told


def test_a_crowd_that_was_let_in_by_its_turns_is_served_fairly() -> None:
    found = judge(stories(), PROMOTED, WAITING)
    assert found == FAIR
    assert found.is_fair
    assert found.figures["lost_in_line"] == 0


@pytest.mark.parametrize(
    ("promoted", "waiting", "violations"),
    [
        ([Turn("ben", 2), Turn("ann", 1)], WAITING, 1),
        ([Turn("ann", 1), Turn("dee", 4)], {"ben": 2, "cy": 3}, 1),
        ([Turn("cy", 3), Turn("dee", 4), Turn("ann", 1)], {"ben": 2}, 2),
        ([], {}, 0),
    ],
)
def test_who_is_let_in_before_a_lower_turn_that_waits_is_a_violation_of_the_order(
    promoted: list[Turn], waiting: dict[str, int], violations: int
) -> None:
    assert judge({}, promoted, waiting).order_violations == violations


def test_a_place_that_is_told_to_be_further_back_is_a_violation_of_the_order() -> None:
    told = stories()
    told["cy"].rises = 2
    found = judge(told, PROMOTED, WAITING)
    assert (found.order_violations, found.is_fair) == (2, False)


@pytest.mark.parametrize("is_told", [False, True])
def test_who_is_let_in_by_the_room_or_is_told_so_again_was_admitted_twice(is_told: bool) -> None:
    told, promoted = stories(), [*PROMOTED]
    if is_told:
        told["ann"].let_in.add((1, 10))
    else:
        promoted.append(Turn("ann", 5))
    found = judge(told, promoted, {})
    assert (found.admitted, found.admitted_twice, found.is_fair) == (2, 1, False)


def test_who_had_a_turn_and_neither_waits_at_it_nor_was_let_in_is_lost() -> None:
    assert judge(stories(), PROMOTED, {"cy": 3}).lost_in_line == 1
    # At a later turn than was given: the place is lost, too.
    assert judge(stories(), PROMOTED, {"cy": 3, "dee": 9}).lost_in_line == 1
    told = stories()
    told["ann"].lost = 1
    assert judge(told, PROMOTED, WAITING).lost_in_line == 1
