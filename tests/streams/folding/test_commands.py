"""Each command of a batch has its turn, after time has come to it and what was due has ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import (
    START_MS,
    Pair,
    Partition,
    confirm,
    guarded_tick,
    hold,
)
from support.workers.tallies import TallyFold, fold_of, tally

from serdes.wire import header_of
from streams.batch import UnknownSchema
from streams.folding.commands import Turn, each_command
from streams.folding.fold import Fields

RUBBISH: Pair = (b"k", b"\0\0\0\0\1rubbish")
ids = st.sampled_from(["a", "b", "c"])


def key_of(fields: Fields) -> bytes:
    key: bytes = fields[0]
    return key


def end_nothing(fold: TallyFold) -> None:
    assert fold.due() == []


def names_of(turns: list[Turn]) -> list[str]:
    return [turn.name.rpartition(".")[2] for turn in turns]


@given(st.lists(st.tuples(ids, st.sampled_from(["put", "delete", "leave"])), max_size=10))
def test_a_command_finds_what_those_before_it_in_its_batch_have_left(
    steps: list[tuple[str, str]],
) -> None:
    partition = Partition(handler=tally)
    partition.state.put(b"a", b"before")
    model: dict[bytes, bytes | None] = {b"a": b"before"}
    records = partition.append(*(hold(name, 1) for name, _ in steps))
    fold = fold_of(records, partition.state)
    turns = each_command(fold, records, key_of=key_of, end_due=end_nothing)
    for turn, (name, step) in zip(turns, steps, strict=True):
        key = name.encode()
        assert turn.stored == model.get(key)
        assert fold.offset == turn.record.offset
        if step == "put":
            model[key] = b"%d" % turn.record.offset
            fold.put(key, model[key] or b"")
        elif step == "delete":
            model[key] = None
            fold.delete(key)


def test_ticks_tombstones_and_dead_letters_have_no_turn_but_move_the_time() -> None:
    partition = Partition(handler=tally)
    records = partition.append(hold("a", 1), RUBBISH, (b"k", None))
    partition.now_ms += 7
    records += partition.append(guarded_tick(partition.now_ms), confirm("b"))
    fold = fold_of(records, partition.state, START_MS)
    times = []
    turns = []
    for turn in each_command(fold, records, key_of=key_of, end_due=end_nothing):
        turns.append(turn)
        times.append(fold.log_time_ms)
    assert names_of(turns) == ["HoldBestAvailable", "ConfirmReservation"]
    assert times == [START_MS, START_MS + 7]
    assert [letter.record.offset for letter in fold.effects.dead_letters] == [1]
    assert fold.effects.decisions == {"TOMBSTONE": 1, "TICK": 1}


def test_what_is_due_ends_before_the_command_that_brings_the_time() -> None:
    partition = Partition(handler=tally)
    partition.state.put(b"a", b"old", START_MS + 5)
    records = partition.append(guarded_tick(START_MS + 5))
    partition.now_ms += 5
    records += partition.append(hold("a", 1))

    def forget(fold: TallyFold) -> None:
        for key, stored in fold.due():
            assert stored == b"old"
            fold.delete(key)

    fold = fold_of(records, partition.state)
    (turn,) = each_command(fold, records, key_of=key_of, end_due=forget)
    assert turn.stored is None


def test_nothing_is_decided_of_a_batch_with_a_schema_that_nobody_told_us() -> None:
    partition = Partition(handler=tally)
    records = partition.append(hold("a", 1), (b"k", header_of(7_001) + b"?"))
    fold = fold_of(records, partition.state)
    with pytest.raises(UnknownSchema):
        next(each_command(fold, records, key_of=key_of, end_due=end_nothing))
    assert (fold.log_time_ms, fold.offset) == (0, -1)
