"""What is known of open transactions from stable offsets and ends, asked again and again."""

from hypothesis import given
from hypothesis import strategies as st

from state.kafka.open_transactions import Open, OpenTransactions

PLACE = ("t", 0)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=20))
def test_s4_a_transaction_is_open_since_its_stable_offset_stands_still(
    moves: list[tuple[int, int]],
) -> None:
    known = OpenTransactions()
    asked: list[tuple[int, int]] = []
    stable = 0
    for now_s, (step, hidden) in enumerate(moves):
        stable += step
        asked.append((stable, hidden))
        known.note({PLACE: (stable, stable + hidden)}, float(now_s))
    still = 0
    for at, hidden in reversed(asked):
        if at != stable or not hidden:
            break
        still += 1
    expected = {PLACE: Open(stable, asked[-1][1], still - 1.0)} if still else {}
    assert known.open(len(moves) - 1.0) == expected


def test_s4_a_partition_that_was_not_told_of_stays_as_it_was_known() -> None:
    known = OpenTransactions()
    known.note({PLACE: (3, 5)}, 0.0)
    known.note({}, 7.0)
    assert known.open(9.0) == {PLACE: Open(3, 2, 9.0)}
    known.forget_others([("t", 1)])
    assert known.open(9.0) == {}
