"""The order of one partition's records, from the fetch to the decision."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import (
    CODECS,
    PARTITIONS,
    Pair,
    hold,
    open_section,
    sale_window,
    told,
)
from support.workers.echo import FakeRecord

import topology
from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS
from serdes.avro.refused import TooLong
from serdes.wire import VALUE_BYTES_MAX
from state.domain.reasons import Reason
from state.stores.memory import MemoryStore
from state.stores.partition_state import PartitionState
from streams.batch import Batch, Effects, Record, State
from streams.change_sections import handler as seats
from streams.driver import PipedRecord
from streams.route import Route
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.input_partition import QUARANTINED, InputPartition


def records(first: int, count: int) -> list[FakeRecord]:
    return [FakeRecord(offset) for offset in range(first, first + count)]


def feed(partition: InputPartition, fed: Sequence[Record], begin: int | None = None) -> None:
    """Feed records; everything from `begin` on was read, by default from the first of them."""
    partition.feed(fed, fed[0].offset if begin is None else begin)


def offsets(taken: Sequence[Record]) -> list[int]:
    return [record.offset for record in taken]


def new_partition(
    journal: Path,
    next_offset: int = 100,
    to: tuple[str, ...] = ("out",),
    *,
    has_gaps: bool = False,
    end_offset: int = 0,
) -> InputPartition:
    def echo(batch: Batch, state: State, log_time_ms: int) -> Effects:
        effects = Effects()
        for record in batch.records:
            state.put(b"last", b"%d" % record.offset)
            effects.to("out").append((record.key, b"%d %d" % (record.offset, log_time_ms)))
        return effects

    route = Route("role", "in", echo, to, "changelog", "dead")
    state = PartitionState(MemoryStore())
    crash_journal = CrashJournal(journal)
    return InputPartition(
        route,
        "in",
        0,
        4,
        state,
        next_offset,
        500,
        crash_journal,
        has_gaps=has_gaps,
        end_offset=end_offset,
    )


@pytest.fixture
def partition(tmp_path: Path) -> InputPartition:
    return new_partition(tmp_path / "journal.json")


def test_a_partition_has_caught_up_once_it_is_committed_or_read_to_the_end_it_began_with(
    tmp_path: Path,
) -> None:
    assert new_partition(tmp_path / "journal.json", end_offset=100).has_caught_up
    partition = new_partition(tmp_path / "journal.json", end_offset=102)
    feed(partition, records(100, 5))
    # Fetched is not folded.
    told = [partition.has_caught_up]
    partition.committed_offset = 102
    told.append(partition.has_caught_up)
    marked = new_partition(tmp_path / "journal.json", end_offset=102)
    for offset in (101, 102):
        marked.note_read_to(offset)
        told.append(marked.has_caught_up)
    assert told == [False, True, False, True]


def test_an_earlier_record_than_expected_is_the_partitions_trouble(
    partition: InputPartition,
) -> None:
    feed(partition, records(100, 5))
    with pytest.raises(PartitionTrouble, match="expected offset 105, got 104"):
        feed(partition, records(104, 3))


def test_c3_a_gap_that_was_read_past_is_passed_however_large_it_is(
    partition: InputPartition,
) -> None:
    feed(partition, records(103, 2), begin=100)
    feed(partition, records(900_000, 1), begin=105)
    assert offsets(partition.take(10)) == [103, 104, 900_000]
    assert partition.next_offset == 900_001


def test_c3_a_single_offset_that_nobody_read_is_the_partitions_trouble(
    partition: InputPartition,
) -> None:
    with pytest.raises(PartitionTrouble, match="offsets 100 to 100 are not in the log"):
        feed(partition, records(101, 2), begin=101)


def test_c3_a_hole_in_the_log_is_the_partitions_trouble_unless_the_topic_is_compacted(
    tmp_path: Path,
) -> None:
    with pytest.raises(PartitionTrouble, match="offsets 102 to 104 are not in the log"):
        new_partition(tmp_path / "journal.json").feed(records(105, 2), 100, [(102, 105)])
    compacted = new_partition(tmp_path / "journal.json", has_gaps=True)
    compacted.feed(records(105, 2), 100, [(102, 105)])
    assert offsets(compacted.take(10)) == [105, 106]


@given(
    sizes=st.lists(st.integers(1, 30), max_size=8),
    limits=st.lists(st.integers(1, 40), max_size=20),
)
def test_records_are_taken_in_order_and_the_buffer_knows_its_size(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limits: list[int]
) -> None:
    partition = new_partition(tmp_path_factory.mktemp("partition") / "journal.json", 0)
    fed = 0
    for size in sizes:
        feed(partition, records(fed, size))
        fed += size
    got: list[int] = []
    for limit in limits:
        taken = partition.take(limit)
        assert len(taken) == min(limit, fed - len(got))
        got += offsets(taken)
        assert partition.buffered_records == fed - len(got)
        assert (partition.buffered_bytes > 0) == (partition.buffered_records > 0)
    assert got == list(range(len(got)))
    assert partition.next_offset == fed


def test_what_was_put_back_comes_first_again(partition: InputPartition) -> None:
    feed(partition, records(100, 10))
    taken = partition.take(4)
    partition.put_back(taken)
    assert partition.buffered_records == 10
    partition.is_waiting = True
    assert partition.take(10) == ()
    partition.is_waiting = False
    assert offsets(partition.take(10)) == list(range(100, 110))


def test_decisions_move_offset_and_log_time_and_seal_the_state(partition: InputPartition) -> None:
    feed(partition, [FakeRecord(100, 900), FakeRecord(101, 700)])
    decided = partition.decide(partition.take(10))
    assert decided.next_offset == 102
    assert decided.log_time_ms == 900
    assert decided.records == 2
    assert [key for key, _ in decided.changes.puts] == [b"last"]
    assert decided.effects.outgoing["out"][0] == (b"k", b"100 500")
    # Time never goes back.
    feed(partition, [FakeRecord(102, 100)])
    assert partition.decide(partition.take(1)).log_time_ms == 900


def test_a_topic_outside_the_route_is_refused(tmp_path: Path) -> None:
    partition = new_partition(tmp_path / "journal.json", to=())
    feed(partition, records(100, 1))
    with pytest.raises(WorkerMustEnd, match="may not publish to out"):
        partition.decide(partition.take(1))


def test_batches_are_short_while_what_was_due_for_long_has_piled_up(
    partition: InputPartition,
) -> None:
    feed(partition, [FakeRecord(offset, 6_000) for offset in range(100, 300)])
    partition.state.put(b"hold", b"held", 1_000)
    assert partition.overdue_ms() == 0
    assert len(partition.take(80)) == 80
    partition.state.put(b"hold", b"held", 999)
    assert partition.overdue_ms() == 6_000
    assert len(partition.take(80)) == 50
    partition.is_waiting = True
    assert partition.overdue_ms() == 0


def test_r20_a_stretch_that_killed_is_gone_through_one_by_one(tmp_path: Path) -> None:
    journal = CrashJournal(tmp_path / "journal.json")
    journal.note_death("in-0", 102, 103)
    partition = new_partition(tmp_path / "journal.json")
    feed(partition, records(100, 8))
    # Everything up to the stretch's end with care, then freely again.
    assert [offsets(partition.take(10)) for _ in range(5)] == [
        [100],
        [101],
        [102],
        [103],
        [104, 105, 106, 107],
    ]


def test_r20_a_quarantined_record_is_a_dead_letter_and_touches_no_state(tmp_path: Path) -> None:
    journal = CrashJournal(tmp_path / "journal.json")
    for _ in range(3):
        journal.note_death("in-0", 100, 100)
    partition = new_partition(tmp_path / "journal.json")
    feed(partition, records(100, 2))
    decided = partition.decide(partition.take(10))
    (letter,) = decided.effects.dead_letters
    assert letter.reason == QUARANTINED
    assert letter.record.offset == 100
    assert decided.changes.puts == []
    assert decided.effects.outgoing == {}
    assert decided.next_offset == 101


ROUTE = seats.route(topology.SEATS, CODECS, 1_000_000)


def length(pair: Pair) -> int:
    return len(pair[1] or b"")


def largest_opening() -> Pair:
    """Return an OpenSection that is exactly as long as a record may be."""
    rows = VALUE_BYTES_MAX // (length(open_section(".\n.")) - length(open_section(".")))
    while (left := VALUE_BYTES_MAX - length(open_section("\n".join("." * rows)))) < 0:
        rows -= 1
    return open_section("\n".join("." * rows), correlation="c" * left)


def test_s3_8_what_could_not_be_read_again_is_a_dead_letter_and_the_next_record_is_decided(
    tmp_path: Path,
) -> None:
    # With a window its layout would be longer than what was read of the command that opened it.
    pairs = [largest_opening(), sale_window(1_600_000_000_000, 1_900_000_000_000), hold("r1", 1)]
    assert length(pairs[0]) == VALUE_BYTES_MAX
    place = SECTION_COMMANDS.name, 0
    log = [PipedRecord(*place, at, 1_700_000_000_000, *pair) for at, pair in enumerate(pairs)]
    store, journal = MemoryStore(), CrashJournal(tmp_path / "journal.json")
    letters, outcomes, deaths, at = [], [], 0, 0
    while at < len(log):
        state = PartitionState(store)
        partition = InputPartition(ROUTE, *place, PARTITIONS, state, at, 0, journal)
        partition.feed(log[at:], at)
        while taken := partition.take(10):
            try:
                decided = partition.decide(taken)
            except TooLong:
                assert partition.contradiction() == ""
                journal.note_death(partition.place, taken[0].offset, taken[-1].offset)
                deaths += 1
                break
            state.write(decided.changes, None)
            state.release()
            at = decided.next_offset
            journal.note_passed(partition.place, at)
            letters += [(one.record.offset, one.reason) for one in decided.effects.dead_letters]
            outcomes += decided.effects.outgoing.get(RESERVATION_OUTCOMES.name, [])
    assert (letters, deaths <= 4) == ([(1, QUARANTINED)], True)
    opened, refused, held = (told(one[1]) for one in outcomes)
    assert (opened.name, held.name) == ("SectionOpened", "SeatsHeld")
    assert (refused.name, refused.reason) == ("CommandRefused", Reason.INTERNAL)
