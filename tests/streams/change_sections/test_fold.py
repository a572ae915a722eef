"""What a fold of section commands knows of its sections, and which it keeps decoded."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.seatmap import section
from support.seats.section_commands import (
    CODECS,
    ELSEWHERE,
    EVENT,
    PARTITIONS,
    A,
    B,
    Pair,
    Partition,
    confirm,
    guarded_tick,
    hold,
    open_section,
    opened,
    sale_window,
)

from serdes.decoding import Decoded
from state.domain.keys import PROGRESS_KEY, section_key
from state.domain.open_section import KnownSection
from state.domain.price import unpriced
from state.domain.reasons import Reason
from state.records.names import Command
from streams.batch import Batch
from streams.change_sections.decide import command_of
from streams.change_sections.decisions import Changed
from streams.change_sections.fold import STATE_BYTES_MAX, SectionCache, SectionFold, keys_of

KEY = section_key(EVENT, A)


def fold_of(partition: Partition) -> SectionFold:
    batch = Batch("section-commands", partition.number, PARTITIONS, [])
    return SectionFold(CODECS, batch, partition.state, 0, STATE_BYTES_MAX)


def told_by(pair: Pair) -> Command:
    verdict = CODECS.commands.decode(pair[1])
    assert isinstance(verdict, Decoded)
    command = command_of(verdict)
    assert command is not None
    return command


def known(key: bytes, seats: int) -> KnownSection:
    return KnownSection.of(
        section("." * seats),
        key=key,
        event_id=EVENT,
        section_id=key,
        layout_version=1,
        initial_blocked_count=0,
        prices=unpriced([seats]),
    )


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.lists(st.integers(0, 5), max_size=12),
    st.integers(0, 60),
)
def test_the_sections_that_were_touched_last_stay_decoded_as_far_as_they_fit(
    sizes: list[int], touches: Sequence[int], seats_max: int
) -> None:
    cache = SectionCache()
    keys = [b"s%d" % number for number in range(len(sizes))]
    for key, seats in zip(keys, sizes, strict=True):
        cache.add(known(key, seats))
    order = list(range(len(sizes)))
    for number in (one for one in touches if one < len(sizes)):
        cache.touch(keys[number])
        order.remove(number)
        order.append(number)
    cache.shrink(seats_max)
    kept: list[int] = []
    for number in reversed(order):
        if sum(sizes[one] for one in [*kept, number]) > seats_max:
            break
        kept.append(number)
    assert list(cache.by_key) == [keys[number] for number in reversed(kept)]
    assert cache.seats == sum(sizes[number] for number in kept)


def test_a_partition_has_one_memory_of_its_sections() -> None:
    partition = opened("....")
    assert SectionCache.of(partition.state) is SectionCache.of(partition.state)
    assert list(SectionCache.of(partition.state).by_key) == [KEY]
    partition.forget()
    assert not SectionCache.of(partition.state).by_key


def test_a_section_is_found_decoded_or_stored_and_only_under_its_own_key() -> None:
    partition = opened("....")
    command = told_by(hold("r1", 1))
    for _ in range(2):
        found = fold_of(partition).find(KEY, command)
        assert isinstance(found, KnownSection)
        assert (found.key, found.section.free_count) == (KEY, 4)
        partition.forget()
    fold = fold_of(partition)
    for key in (None, b"", KEY + b" ", section_key(EVENT, B)):
        assert fold.find(key, command) is Reason.KEY_MISMATCH
    assert fold.find(section_key(EVENT, B), told_by(hold("r1", 1, section=B))) is None


def test_f07_a_section_of_another_partition_is_not_looked_for() -> None:
    elsewhere = told_by(hold("r1", 1, section=ELSEWHERE))
    fold = fold_of(opened("...."))
    assert fold.find(section_key(EVENT, ELSEWHERE), elsewhere) is Reason.WRONG_PARTITION


@pytest.mark.parametrize("half", [b"l", b"s"])
def test_half_a_section_is_no_section_that_was_not_opened(half: bytes) -> None:
    partition = opened("....")
    del partition.store.stored[half + KEY]
    partition.forget()
    with pytest.raises(AssertionError, match="half of section"):
        fold_of(partition).section(KEY)


def test_a_section_is_touched_at_the_offset_and_the_time_of_the_record() -> None:
    partition = opened("....")
    fold = fold_of(partition)
    found = fold.section(KEY)
    assert found is not None
    fold.offset, fold.log_time_ms = 9, 123
    assert fold.touch(found) is found.section
    assert (found.section.applied_offset, found.section.changed_at_ms) == (9, 123)
    assert fold.touched == {KEY: found}


def test_another_working_form_stands_for_its_section_from_then_on() -> None:
    partition = opened("....")
    fold = fold_of(partition)
    found = fold.section(KEY)
    assert found is not None
    other = found.with_window(5, 9)
    fold.put_in_place(other)
    assert fold.section(KEY) is other
    assert fold.touched[KEY] is other
    assert fold.cache.seats == 4
    partition.send(sale_window(7, 8))
    assert SectionCache.of(partition.state).seats == 4


def test_what_a_command_changes_is_stored_told_and_seen_by_the_next_record() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2))
    fold = fold_of(partition)
    stored = fold.state.get(b"rr1")
    assert stored is not None
    held = fold.reservation(stored)
    fold.offset = 7
    fold.change(b"r1", Changed(b"out", "CONFIRMED", held, 5, puts=((b"b" + KEY, b"1"),)))
    assert fold.look_again == {b"rr1"}
    assert fold.state.get(b"b" + KEY) == b"1"
    assert fold.outcomes == [(b"r1", b"out")]
    assert fold.effects.decisions == {"CONFIRMED": 1}
    assert fold.state.due(5) == [(5, b"rr1")]


def test_a_hold_is_counted_by_the_batch_and_not_by_itself() -> None:
    partition = opened("....")
    fold = fold_of(partition)
    fold.change(b"r1", Changed(b"out", "HELD"))
    assert (len(fold.outcomes), fold.counted, fold.effects.decisions) == (1, 0, {})
    partition.send(hold("r1", 1), hold("r2", 1), hold("r3", 9))
    assert partition.decisions["HELD"] == 2


def test_a_record_is_looked_up_by_its_reservation_and_one_without_by_the_progress() -> None:
    pairs = [hold("r1", 1), confirm("r2"), open_section("..")]
    fields: list[tuple[object, ...]] = [tuple(told_by(pair)) for pair in pairs]
    tick = CODECS.commands.decode(guarded_tick(5)[1])
    assert isinstance(tick, Decoded)
    assert keys_of([*fields, tick.fields, ()]) == [
        b"rr1",
        b"rr2",
        b"rop-open",
        PROGRESS_KEY,
        PROGRESS_KEY,
    ]
