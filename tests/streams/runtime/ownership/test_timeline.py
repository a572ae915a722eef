"""What an owner signs its transactions with, and from whose state nobody may go on."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.stores.envelope import CorruptValue
from state.stores.memory import MemoryStore
from state.stores.partition_state import (
    SKIPPED_KEY,
    TAKEOVERS_KEY,
    WRITER_KEY,
    PartitionState,
)
from streams.runtime.ownership.timeline import (
    TAKEOVERS_MAX,
    Writer,
    are_given_up,
    check_writer,
    pack_pairs,
    pairs_of,
    signature,
)
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd

SOURCE_ID = "kq2TrHqOTjqVJYWQd3gQkA"
numbers = st.integers(0, 2**64 - 1)


def owned(store: MemoryStore, owners: int) -> list[int]:
    """Let so many owners take a store over and commit once; return their tokens."""
    tokens = []
    for at in range(owners):
        state = PartitionState(store)
        state.sign(*signature(store, 4, SOURCE_ID))
        state.put(b"k", b"%d" % at)
        state.write(state.seal(), at + 1)
        state.release()
        tokens.append(writer_of(store).token)
    return tokens


def stored(store: MemoryStore, key: bytes) -> bytes:
    found = PartitionState(store).get(key)
    assert found is not None
    return found


def writer_of(store: MemoryStore) -> Writer:
    return Writer.of(stored(store, WRITER_KEY))


@given(numbers, st.integers(1, 2**32 - 1), st.text(st.characters(codec="ascii"), max_size=30))
def test_a_writer_is_read_as_it_was_packed(token: int, partitions: int, source_id: str) -> None:
    writer = Writer(token, partitions, source_id)
    assert Writer.of(writer.pack()) == writer


@given(st.lists(st.tuples(numbers, numbers), max_size=40))
def test_pairs_are_read_as_they_were_packed(pairs: list[tuple[int, int]]) -> None:
    assert pairs_of(pack_pairs(pairs)) == pairs


@given(st.binary(max_size=60))
def test_bytes_that_nobody_packed_are_corrupt_and_no_other_error(payload: bytes) -> None:
    for read in (Writer.of, pairs_of):
        with suppress(CorruptValue):
            read(payload)


def test_each_owner_signs_with_a_number_of_its_own_and_lists_itself_behind_the_others() -> None:
    store = MemoryStore()
    tokens = owned(store, 3)
    assert len(set(tokens)) == 3
    assert writer_of(store) == Writer(tokens[-1], 4, SOURCE_ID)
    listed = pairs_of(stored(store, TAKEOVERS_KEY))
    assert [token for token, _ in listed] == tokens
    orders = [order for _, order in listed]
    assert orders == sorted(set(orders))


def test_only_the_last_owners_are_listed() -> None:
    store = MemoryStore()
    tokens = owned(store, TAKEOVERS_MAX + 3)
    listed = pairs_of(stored(store, TAKEOVERS_KEY))
    assert [token for token, _ in listed] == tokens[-TAKEOVERS_MAX:]


def test_a_changelog_without_its_last_owners_first_transaction_is_not_gone_on_from() -> None:
    store = MemoryStore()
    owned(store, 2)
    del store.stored[TAKEOVERS_KEY]
    with pytest.raises(PartitionTrouble, match="lacks what its last owner wrote first") as caught:
        signature(store, 4, SOURCE_ID)
    assert caught.value.reason == "changelog"


@pytest.mark.parametrize(
    ("given_up", "first", "end", "told"),
    [
        ([], 5, 9, False),
        ([(5, 9)], 5, 9, True),
        ([(5, 8)], 5, 9, False),
        ([(6, 9)], 5, 9, False),
        ([(7, 9), (5, 7)], 5, 9, True),
        ([(0, 100)], 5, 9, True),
    ],
)
def test_lost_commands_are_given_up_where_an_operator_named_every_one_of_them(
    given_up: list[tuple[int, int]], first: int, end: int, told: bool
) -> None:
    store = MemoryStore()
    if given_up:
        state = PartitionState(store)
        state.put(SKIPPED_KEY, pack_pairs(given_up))
        state.write(state.seal(), 1)
    assert are_given_up(store, first, end) is told


def test_a_state_of_another_number_of_partitions_ends_the_worker() -> None:
    writer = Writer(1, 4, SOURCE_ID)
    with pytest.raises(WorkerMustEnd, match=r"in has 5 partitions, .* made under 4"):
        check_writer("in", "changelog", writer, 5, SOURCE_ID)


def test_a_state_of_a_topic_that_was_deleted_is_its_partitions_trouble() -> None:
    writer = Writer(1, 4, SOURCE_ID)
    check_writer("in", "changelog", writer, 4, SOURCE_ID)
    with pytest.raises(PartitionTrouble, match="was deleted and created again") as caught:
        check_writer("in", "changelog", writer, 4, "another")
    assert caught.value.reason == "offsets"
