"""Records of a key wait in one line, in their order, however they come and go."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from state.stores.memory import MemoryStore
from state.stores.partition_state import PartitionState
from streams.working import lines
from streams.working.inbox import Event
from streams.working.kept import Kept, offsets_of

KEPT = Kept(Event("e"), 0, 1_000, b"key", b"value", ())


def at(offset: int) -> Kept:
    return replace(KEPT, offset=offset)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=20))
def test_a_line_is_a_list_without_repeats_whose_next_is_told_to_who_leaves(
    steps: list[tuple[bool, int]],
) -> None:
    state, waiting = PartitionState(MemoryStore()), list[int]()
    for comes, offset in steps:
        if comes:
            lines.keep(state, at(offset))
            waiting += [] if offset in waiting else [offset]
        else:
            following = lines.leave(state, at(offset))
            was_there = offset in waiting
            waiting = [one for one in waiting if one != offset]
            expected = at(waiting[0]).waiting if was_there and waiting else None
            assert following == expected
        assert offsets_of(state.get(KEPT.line)) == waiting
        assert {one for one in range(5) if state.get(at(one).waiting)} == set(waiting)
    # An empty line leaves nothing behind.
    assert (state.get(KEPT.line) is None) == (not waiting)


def test_a_line_that_is_emptied_keeps_its_own_record_for_who_emptied_it() -> None:
    state = PartitionState(MemoryStore())
    assert not lines.empty(state, KEPT.line)
    lines.keep(state, at(1))
    lines.keep(state, at(2))
    assert lines.empty(state, KEPT.line)
    assert [state.get(at(one).waiting) for one in (1, 2)] == [None, None]
    assert state.get(KEPT.line) is not None
