"""What a fold keeps for its decisions: time, what is due, what was changed before in the batch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import START_MS, Partition, guarded_tick, hold, tick
from support.workers.echo import FakeRecord
from support.workers.tallies import TallyFold, fold_of, tally

from streams.batch import NewerProducer
from streams.folding.fold import DUE_PER_RECORD
from streams.folding.log_time import CLOCK_SKEW_MS, JUMP_MS
from streams.folding.progress import KeptProgress, read_progress, write_progress

TICK = TallyFold.tick_name
HOUR_MS = 3_600_000


class OlderFold(TallyFold):
    """A handler whose logs began before its ticks were guarded."""

    first_logic_version = 1


def older(partition: Partition) -> OlderFold:
    plain = fold_of([], partition.state)
    return OlderFold(plain.decoder, plain.batch, partition.state, 0)


def test_a_partition_without_progress_begins_at_its_first_record() -> None:
    fold = fold_of([], Partition(handler=tally).state, START_MS)
    assert (fold.next_offset, fold.log_time_ms, fold.timer_ms) == (0, START_MS, 0)
    assert (fold.logic_version, fold.overdue) == (2, False)


@given(st.tuples(*[st.integers(0, 2**62)] * 3), st.integers(1, 2))
def test_a_fold_goes_on_where_the_stored_progress_says(
    kept: tuple[int, int, int], version: int
) -> None:
    state = Partition(handler=tally).state
    fold = fold_of([], state)
    _, fold.log_time_ms, fold.timer_ms = kept
    fold.logic_version = version
    fold.keep_progress(kept[0])
    again = fold_of([], state)
    found = again.next_offset, again.log_time_ms, again.timer_ms, again.logic_version
    assert found == (*kept, version)
    assert read_progress(state.get(fold.progress_key) or b"") == KeptProgress(*kept, version)


def test_f29_rules_that_only_newer_code_has_are_refused() -> None:
    fold = fold_of([], Partition(handler=tally).state)
    fold.refuse_newer(fold.last_logic_version)
    with pytest.raises(NewerProducer, match=r"version 3 of the rules.* version 2 at most"):
        fold.refuse_newer(3)


def test_f29_a_state_of_newer_rules_is_not_folded_on() -> None:
    state = Partition(handler=tally).state
    state.put(TallyFold.progress_key, write_progress(KeptProgress(3, START_MS, START_MS, 3)))
    with pytest.raises(NewerProducer, match="version 3 of the rules"):
        fold_of([], state)


def test_c6_by_the_rules_of_today_a_jump_of_the_brokers_clock_waits_for_a_tick() -> None:
    fold = fold_of([], Partition(handler=tally).state, START_MS)
    ahead_ms = START_MS + HOUR_MS
    assert fold.follow(FakeRecord(7, ahead_ms), "Hold", ()) == START_MS
    assert fold.offset == 7
    assert fold.follow(FakeRecord(8, START_MS + JUMP_MS), "Hold", ()) == START_MS + JUMP_MS
    told = fold.follow(FakeRecord(9, ahead_ms, b"tick-2"), TICK, (ahead_ms - 1,))
    assert told == fold.timer_ms == ahead_ms - 1
    assert fold.effects.decisions == {"TICK": 1}


def test_r24_by_the_first_rules_time_is_the_highest_append_time_until_a_newer_tick() -> None:
    fold = older(Partition(handler=tally))
    assert fold.follow(FakeRecord(0, START_MS), "Hold", ()) == START_MS
    assert fold.follow(FakeRecord(1, START_MS + HOUR_MS), "Hold", ()) == START_MS + HOUR_MS
    assert fold.follow(FakeRecord(2, START_MS, b"tick"), TICK, (5,)) == START_MS + HOUR_MS
    assert (fold.timer_ms, fold.logic_version) == (5, 1)
    fold.follow(FakeRecord(3, START_MS + HOUR_MS, b"tick-2"), TICK, (START_MS + HOUR_MS,))
    assert fold.logic_version == 2
    after_ms = fold.follow(FakeRecord(4, START_MS + 3 * HOUR_MS), "Hold", ())
    assert after_ms == START_MS + HOUR_MS


def test_a_tick_that_only_asks_for_the_time_moves_no_timer() -> None:
    fold = fold_of([], Partition(handler=tally).state, START_MS)
    fold.follow(FakeRecord(0, START_MS + 9, b"tick-2"), TICK, (0,))
    assert (fold.log_time_ms, fold.timer_ms) == (START_MS + 9, 0)


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(0, 60), st.integers(0, 60))
def test_due_is_what_both_clocks_have_passed_oldest_first(
    dues: list[int], log_ms: int, timer_ms: int
) -> None:
    fold = fold_of([], Partition(handler=tally).state)
    for number, due_ms in enumerate(dues):
        fold.put(b"t%02d" % number, b"%d" % number, CLOCK_SKEW_MS + due_ms)
    fold.log_time_ms, fold.timer_ms = CLOCK_SKEW_MS + log_ms, timer_ms
    passed = [
        (due_ms, b"t%02d" % number, b"%d" % number)
        for number, due_ms in enumerate(dues)
        if due_ms <= log_ms and due_ms <= timer_ms
    ]
    assert fold.due() == [(key, value) for _, key, value in sorted(passed)]
    assert not fold.overdue


def test_what_is_due_beyond_one_records_share_waits_for_the_next_record() -> None:
    partition = Partition(handler=tally)
    fold = fold_of([], partition.state, START_MS)
    fold.timer_ms = START_MS
    for number in range(DUE_PER_RECORD + 3):
        fold.put(b"t%04d" % number, b"1", START_MS)
    first = fold.due()
    assert ([key for key, _ in first][::999], fold.overdue) == ([b"t0000", b"t0999"], True)
    for key, _ in first:
        fold.delete(key)
    assert [key for key, _ in fold.due()] == [b"t1000", b"t1001", b"t1002"]
    assert not fold.overdue


def test_what_was_due_when_a_batch_ended_is_overdue_in_the_next_one() -> None:
    partition = Partition(handler=tally)
    fold = fold_of([], partition.state, START_MS)
    fold.timer_ms = START_MS
    fold.put(b"ta", b"1", START_MS)
    fold.keep_progress(1)
    assert fold_of([], partition.state).overdue


@given(st.lists(st.sampled_from([b"ta", b"tb", b"tc"]), max_size=8))
def test_a_key_that_comes_twice_in_a_batch_is_looked_up_anew(keys: list[bytes]) -> None:
    fold = fold_of([], Partition(handler=tally).state)
    fold.state.put(b"ta", b"1")
    assert fold.look_up(keys) == [b"1" if key == b"ta" else None for key in keys]
    assert fold.look_again == {key for key in keys if keys.count(key) > 1}


def test_what_was_put_or_deleted_is_looked_up_anew() -> None:
    fold = fold_of([], Partition(handler=tally).state)
    fold.put(b"ta", b"1")
    fold.delete(b"tb")
    assert fold.look_again == {b"ta", b"tb"}
    assert (fold.state.get(b"ta"), fold.state.get(b"tb")) == (b"1", None)


def test_outcomes_are_told_in_order_and_counted_by_decision() -> None:
    fold = fold_of([], Partition(handler=tally).state)
    fold.offset = 12
    fold.emit(b"a", fold.outcome_id(), "DONE")
    fold.emit(b"b", fold.outcome_id(2), "DONE")
    fold.outcomes.append((b"c", b"usual"))
    assert fold.outcomes == [
        (b"a", b"section-commands:0:12:0"),
        (b"b", b"section-commands:0:12:2"),
        (b"c", b"usual"),
    ]
    assert (fold.counted, fold.effects.decisions) == (2, {"DONE": 2})


def test_a_dead_letter_keeps_its_record_and_its_reason() -> None:
    fold = fold_of([], Partition(handler=tally).state)
    record = FakeRecord(3)
    fold.bury(record, "BAD", "why")
    (letter,) = fold.effects.dead_letters
    assert (letter.record, letter.reason, letter.detail) == (record, "BAD", "why")


@given(st.integers(0, 4), st.integers(0, 6))
def test_records_part_where_the_state_ends(applied: int, count: int) -> None:
    partition = Partition(handler=tally)
    fold_of([], partition.state).keep_progress(applied)
    records = partition.append(*[hold("a", 1)] * count)
    rewound, new = fold_of(records, partition.state).parted()
    assert [record.offset for record in rewound] == list(range(min(applied, count)))
    assert [record.offset for record in new] == list(range(applied, count))


def test_both_ticks_of_the_protocol_have_the_name_that_a_fold_asks_for() -> None:
    partition = Partition(handler=tally)
    effects = partition.run(partition.append(tick(START_MS), guarded_tick(START_MS)))
    assert effects.decisions == {"TICK": 2}
