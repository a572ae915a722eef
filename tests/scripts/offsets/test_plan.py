"""A group is moved only to where records are, and what that gives up is said before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.offsets.plan import NOWHERE, At, Impossible, Move, as_text, moves

PLACE = ("section-commands", 7)
SPANS = {PLACE: (10, 90)}


@given(st.integers(10, 90), st.integers(10, 90))
def test_a_move_gives_up_what_lies_before_it_or_reads_again_what_lies_behind(
    was: int, to: int
) -> None:
    found = moves({PLACE: At(was, "w1")}, SPANS, [PLACE], str(to))
    if was == to:
        assert found == []
        return
    [move] = found
    assert move == Move(PLACE, was, to, "w1")
    assert move.gives_up - move.again == to - was
    assert min(move.gives_up, move.again) == 0
    # A second run finds it done.
    assert moves({PLACE: At(to, "w1")}, SPANS, [PLACE], str(to)) == []


@pytest.mark.parametrize(("to", "offset"), [("first", 10), ("end", 90), ("10", 10), ("90", 90)])
def test_first_and_end_are_those_of_the_log(to: str, offset: int) -> None:
    [move] = moves({PLACE: At(50)}, SPANS, [PLACE], to)
    assert move.to == offset


@pytest.mark.parametrize("to", ["9", "91", "-1", "", "begin", "1e3", "٣"])
def test_where_no_record_is_the_group_is_not_moved(to: str) -> None:
    with pytest.raises(Impossible):
        moves({}, SPANS, [PLACE], to)


def test_a_partition_that_is_not_there_is_named() -> None:
    with pytest.raises(Impossible, match="no partition 99"):
        moves({}, SPANS, [("section-commands", 99)], "first")


def test_what_a_move_means_is_said_in_words() -> None:
    lines = list(
        as_text(
            [
                Move(PLACE, 50, 60, "w"),
                Move(PLACE, 50, 10, "w"),
                Move(PLACE, NOWHERE, 0, ""),
                Move(PLACE, NOWHERE, 10, ""),
            ]
        )
    )
    assert "50 -> 60: offsets 50 to 59 are given up" in lines[0]
    assert "40 offsets are read again" in lines[1]
    assert "nothing committed -> 0: from its first record on" in lines[2]
    assert "offsets 0 to 9 are given up" in lines[3]
