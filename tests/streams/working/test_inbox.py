"""An inbox against an oracle of sets: replayed, shuffled and duplicated input has one effect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.stores.memory import MemoryStore
from state.stores.partition_state import PartitionState
from streams.working.inbox import Event, Inbox, Seen

KEEP_MS = 1_000
texts = st.sampled_from(["", "a", "a\0", "\0a", "a\0a", "é"])
events = st.builds(Event, st.sampled_from(["1", "2", "3"]), texts, texts)


def fresh() -> PartitionState:
    return PartitionState(MemoryStore(seed=1))


def act(inbox: Inbox, event: Event, now_ms: int = 1) -> Seen | None:
    """Do as a worker does: have an effect where the event is new."""
    seen = inbox.seen(event)
    if seen is None:
        inbox.mark(event, now_ms)
    return seen


@given(st.lists(events, max_size=20), st.booleans())
def test_an_event_acts_unless_its_id_or_its_step_was_there(
    told: list[Event], commits: bool
) -> None:
    """Whatever the order, and wherever batches end."""
    state = fresh()
    ids: set[str] = set()
    steps: set[tuple[str, str]] = set()
    for event in told:
        step = (event.correlation_id, event.type)
        expected = Seen.EVENT if event.id in ids else Seen.STEP if step in steps else None
        assert act(Inbox(state, KEEP_MS), event) is expected
        if expected is None:
            ids.add(event.id)
            if all(step):
                steps.add(step)
        if commits:
            state.write(state.seal(), None)
            state.release()
    again = PartitionState(state.store) if commits else state
    assert all(Inbox(again, KEEP_MS).seen(event) for event in told)


@given(st.lists(events, max_size=12), st.randoms(use_true_random=False))
def test_two_groups_on_one_topic_both_act(told: list[Event], random: object) -> None:
    """Each has a store of its own; order and repetitions change nothing of what was consumed."""
    consumed = []
    for state in (fresh(), fresh()):
        inbox = Inbox(state, KEEP_MS)
        consumed.append([event for event in told if act(inbox, event) is None])
    assert consumed[0] == consumed[1]


def test_no_two_steps_are_one() -> None:
    inbox = Inbox(fresh(), KEEP_MS)
    inbox.mark(Event("1", "a\0", "a"), 1)
    assert inbox.seen(Event("2", "a", "\0a")) is None


def test_asking_marks_nothing() -> None:
    state = fresh()
    inbox = Inbox(state, KEEP_MS)
    assert inbox.seen(Event("1", "c", "t")) is None
    assert inbox.seen(Event("1", "c", "t")) is None
    assert state.seal().puts == []


def test_what_is_marked_in_a_batch_that_is_not_committed_is_new_for_the_next_owner() -> None:
    state = fresh()
    Inbox(state, KEEP_MS).mark(Event("1"), 1)
    assert Inbox(PartitionState(state.store), KEEP_MS).seen(Event("1")) is None


def test_a_mark_is_forgotten_after_the_retention_and_not_before() -> None:
    state = fresh()
    inbox = Inbox(state, KEEP_MS)
    inbox.mark(Event("1", "c", "t"), 5)
    assert state.due(5 + KEEP_MS - 1) == []
    due = state.due(5 + KEEP_MS)
    assert len(due) == 2
    assert all(inbox.forget(key) for _, key in due)
    assert inbox.seen(Event("1", "c", "t")) is None
    assert not inbox.forget(b"own key")


class Broken(MemoryStore):
    """A store that cannot be read."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:  # noqa: ARG002
        raise OSError("unreadable")


def test_a_store_that_cannot_be_read_is_no_word_that_an_event_is_new() -> None:
    with pytest.raises(OSError, match="unreadable"):
        Inbox(PartitionState(Broken(seed=1)), KEEP_MS).seen(Event("1"))
