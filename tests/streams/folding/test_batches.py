"""A batch through a fold that knows no seat: what rewinds, cuts and poison do to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import (
    EVENT,
    START_MS,
    A,
    Pair,
    Partition,
    confirm,
    guarded_tick,
    hold,
)
from support.workers.tallies import IDLE_MS, OUTCOMES, TALLY, TallyFold, fold_of, tally

from state.domain.keys import section_key
from streams.batch import NewerProducer
from streams.driver import PipedRecord
from streams.folding.batches import pass_over, progress_of
from streams.folding.progress import KeptProgress, write_progress

RUBBISH: Pair = (b"k", b"\0\0\0\0\1rubbish")
progress = progress_of(TallyFold)


@dataclass(frozen=True, slots=True)
class Ran:
    """What a log led to."""

    outcomes: list[tuple[bytes | None, bytes]]
    dead: list[tuple[int, str]]
    decisions: dict[str, int]
    stored: dict[bytes, tuple[bytes, int]]


def ran(records: Sequence[PipedRecord], cuts: Sequence[int] = ()) -> Ran:
    """Tally a log in batches that end at `cuts`, starting anew on the store after each."""
    partition = Partition(handler=tally)
    result = Ran([], [], {}, {})
    ends = sorted({min(cut, len(records)) for cut in cuts} | {len(records)})
    for begin, end in zip([0, *ends], ends, strict=False):
        effects = partition.run(records[begin:end])
        partition.forget()
        result.outcomes.extend(record[:2] for record in effects.outgoing.get(OUTCOMES, []))
        result.dead.extend((one.record.offset, one.reason) for one in effects.dead_letters)
        for name, count in effects.decisions.items():
            result.decisions[name] = result.decisions.get(name, 0) + count
    result.stored.update(partition.kept())
    return result


@st.composite
def logs(draw: st.DrawFn) -> list[PipedRecord]:
    partition = Partition(handler=tally)
    for _ in range(draw(st.integers(1, 30))):
        partition.now_ms += draw(st.sampled_from([0, 1, 20_000, 59_000]))
        ids = st.sampled_from(["a", "b", "c"])
        drawn = draw(
            st.one_of(
                ids.map(lambda name: hold(name, 1)),
                ids.map(confirm),
                st.just(guarded_tick(partition.now_ms)),
                st.just(RUBBISH),
                st.just((b"k", None)),
            )
        )
        partition.append(drawn)
    return partition.log


@given(logs(), st.lists(st.integers(1, 30), max_size=6))
def test_where_batches_end_and_a_worker_starts_again_changes_nothing(
    log: list[PipedRecord], cuts: list[int]
) -> None:
    assert ran(log, cuts) == ran(log)


@given(logs())
def test_each_record_is_counted_once_as_what_it_became(log: list[PipedRecord]) -> None:
    decisions = ran(log).decisions
    decisions.pop("FORGOTTEN", None)
    assert sum(decisions.values()) + len(ran(log).dead) == len(log)


def test_a_tally_grows_and_is_forgotten_a_minute_after_its_last_record() -> None:
    partition = Partition(handler=tally)
    partition.append(hold("a", 1), confirm("a"), hold("b", 1))
    partition.now_ms += IDLE_MS
    partition.append(guarded_tick(partition.now_ms), hold("a", 1))
    result = ran(partition.log)
    assert result.outcomes == [
        (b"a", b"1 section-commands:0:0:0"),
        (b"a", b"2 section-commands:0:1:0"),
        (b"b", b"1 section-commands:0:2:0"),
        (b"a", b"2 section-commands:0:3:1"),
        (b"b", b"1 section-commands:0:3:2"),
        (b"a", b"1 section-commands:0:4:0"),
    ]
    assert result.decisions == {"TALLIED": 4, "TICK": 1, "FORGOTTEN": 2}


@given(logs(), st.integers(0, 30))
def test_a_rewound_record_is_told_again_and_changes_nothing(
    log: list[PipedRecord], back_to: int
) -> None:
    partition = Partition(handler=tally)
    partition.run(log)
    before = partition.kept()
    rewound = log[back_to:]
    if not rewound:
        return
    effects = partition.run(rewound)
    assert partition.kept() == before
    assert effects.dead_letters == []
    told = effects.outgoing.get(OUTCOMES, [])
    assert [record[1] for record in told] == [b"%d" % record.offset for record in rewound]


def test_of_a_batch_that_was_rewound_in_part_only_the_new_records_are_decided() -> None:
    partition = Partition(handler=tally)
    partition.run(partition.append(hold("a", 1), RUBBISH))
    partition.append(hold("a", 1), RUBBISH)
    effects = partition.run(partition.log)
    assert effects.outgoing[OUTCOMES] == [
        (section_key(EVENT, A), b"0"),
        (b"k", b"1"),
        (b"a", b"2 section-commands:0:2:0"),
    ]
    assert [letter.record.offset for letter in effects.dead_letters] == [3]


def test_progress_is_that_of_the_last_record_and_nothing_before_the_first() -> None:
    partition = Partition(handler=tally)
    assert progress(partition.state) == (0, 0)
    partition.run(partition.append(hold("a", 1), RUBBISH))
    assert progress(partition.state) == (2, START_MS)


def test_a_record_that_nobody_survives_moves_time_and_progress_and_nothing_else() -> None:
    partition = Partition(handler=tally)
    partition.run(partition.append(hold("a", 1)))
    partition.now_ms += 5
    for pair, name in ((hold("a", 1), "HoldBestAvailable"), (RUBBISH, None)):
        (record,) = partition.append(pair)
        fold = fold_of([record], partition.state)
        told = pass_over(fold, record)
        assert (told and told.name.rpartition(".")[2]) == name
        assert progress(partition.state) == (record.offset + 1, START_MS + 5)
        assert partition.state.get(TALLY + b"a") == b"1"
        assert (fold.outcomes, fold.effects.decisions) == ([], {})


def test_a_state_of_newer_rules_is_not_passed_over() -> None:
    partition = Partition(handler=tally)
    (record,) = partition.append(hold("a", 1))
    partition.state.put(TallyFold.progress_key, write_progress(KeptProgress(0, START_MS, 0, 9)))
    with pytest.raises(NewerProducer, match="version 9 of the rules"):
        fold_of([record], partition.state)
