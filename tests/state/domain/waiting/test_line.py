"""A line is what was told of it, whoever told it, in whatever order and however often."""

from hypothesis import given
from hypothesis import strategies as st

from state.domain.waiting.line import Fact, Stands, Step, line_of

USERS = st.sampled_from(["ann", "ben", "cy"])
STEPS = st.sampled_from([Step.GIVEN, Step.ADMITTED, Step.ENDED])
facts = st.lists(st.builds(Fact, USERS, st.integers(1, 6), STEPS, st.integers(0, 9)), max_size=20)


@given(facts, st.randoms(use_true_random=False))
def test_d36_neither_order_nor_repetition_of_what_was_told_changes_a_line(
    told: list[Fact], chance: object
) -> None:
    again = [*told, *told[::2]]
    chance.shuffle(again)  # type: ignore[attr-defined]
    assert line_of(again) == line_of(told)


@given(facts)
def test_d36_nobody_waits_at_a_turn_that_was_used_up_and_everybody_stands_once(
    told: list[Fact],
) -> None:
    line = line_of(told)
    assert [one.turn for one in line] == sorted(one.turn for one in line)
    assert sorted(one.user_id for one in line) == sorted({fact.user_id for fact in told})
    used = {(one.user_id, one.turn) for one in told if one.step is not Step.GIVEN}
    over = {(one.user_id, one.turn) for one in told if one.step is Step.ENDED}
    for one in line:
        place = one.user_id, one.turn
        assert one.step is not Step.GIVEN or place not in used
        assert one.step is not Step.ADMITTED or place in used - over


def test_d36_a_line_as_it_was_told() -> None:
    told = [
        Fact("waits", 5, Step.GIVEN),
        Fact("in", 1, Step.GIVEN),
        Fact("in", 1, Step.ADMITTED, 900),
        Fact("over", 2, Step.ADMITTED, 900),
        Fact("over", 2, Step.ENDED),
        Fact("left", 3, Step.GIVEN),
        Fact("left", 3, Step.ENDED),
        # Waits again, behind a turn that was used up.
        Fact("back", 4, Step.ADMITTED, 900),
        Fact("back", 4, Step.ENDED),
        Fact("back", 6, Step.GIVEN),
    ]
    assert line_of(told) == (
        Stands("in", 1, Step.ADMITTED, 900),
        Stands("over", 2, Step.ENDED),
        Stands("left", 3, Step.ENDED),
        Stands("waits", 5, Step.GIVEN),
        Stands("back", 6, Step.GIVEN),
    )
