"""Fenced, claimed, restored: what fails a step for one partition takes no part in the next one."""

from pathlib import Path

import pytest
from support.workers.echo import CHANGELOG, SOURCE
from support.workers.taking_over import (
    DEAD,
    MY_NAME,
    Bench,
    Brokers,
    runs,
    told,
    troubles,
)

from state.kafka.group_offsets import NOTHING_COMMITTED
from state.stores.partition_state import Changes
from streams.runtime.process.fatal import PartitionTrouble


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    return told(monkeypatch)


@pytest.fixture
def bench(tmp_path: Path, brokers: Brokers) -> Bench:
    return Bench(tmp_path, brokers)


def test_former_owners_are_fenced_before_anything_is_claimed_and_claimed_before_it_is_restored(
    bench: Bench, brokers: Brokers
) -> None:
    brokers.committed_at = {0: (42, DEAD), 1: (43, DEAD), 2: (NOTHING_COMMITTED, "")}
    taken = bench.take(0, 1, 2)
    assert runs(taken) == [0, 1, 2]
    assert taken.fenced == [DEAD]
    assert brokers.fenced == [f"{DEAD}-a", f"{DEAD}-b"]
    assert brokers.claimed == {0: (42, MY_NAME), 1: (43, MY_NAME), 2: (0, MY_NAME)}
    assert brokers.did == ["fence", "fence", "watermarks", "claim", "restore"]
    assert taken.partitions[SOURCE, 0].next_offset == 42


def test_a_partition_has_caught_up_where_its_log_ended_when_it_was_taken_over(
    bench: Bench, brokers: Brokers
) -> None:
    brokers.committed_at = {0: (42, MY_NAME), 1: (100, MY_NAME)}
    taken = bench.take(0, 1)
    far, near = (taken.partitions[SOURCE, number] for number in (0, 1))
    assert (far.end_offset, near.end_offset) == (100, 100)
    assert [far.has_caught_up, near.has_caught_up] == [False, True]


def test_a_partition_that_cannot_be_restored_lets_go_of_its_store(
    bench: Bench, brokers: Brokers
) -> None:
    brokers.restore_troubles = {0: PartitionTrouble("it stands still", "changelog")}
    taken = bench.take(0, 1)
    assert runs(taken) == [1]
    assert troubles(taken) == {0: "it stands still"}
    # Nobody has it open any more.
    bench.parts.stores.open(CHANGELOG, 0, "id").close()


def stored(bench: Bench, number: int, offset: int) -> None:
    """Give a partition a store that has read its changelog up to here."""
    store = bench.parts.stores.open(CHANGELOG, number, "id")
    store.apply(Changes([], [], {}, []), offset)
    store.close()


def test_a_store_of_another_history_is_made_anew(bench: Bench, brokers: Brokers) -> None:
    for number in (0, 1):
        stored(bench, number, 5)
    brokers.committed_at = dict.fromkeys((0, 1), (9, MY_NAME))
    brokers.changelog = dict.fromkeys((0, 1), 5)
    brokers.strangers = {0}
    bench.parts.journal.note_death("in-0", 9, 9)
    taken = bench.take(0, 1)
    assert runs(taken) == [0, 1]
    assert bench.parts.journal.deaths("in-0") == 0
    offsets = []
    for number in (0, 1):
        store = bench.parts.stores.open(CHANGELOG, number, "id")
        offsets.append(store.changelog_offset)
        store.close()
    assert offsets == [0, 5]


def test_what_is_given_up_meanwhile_is_neither_taken_nor_in_trouble(
    bench: Bench, brokers: Brokers
) -> None:
    brokers.committed_at = {0: (1, DEAD)}
    taken = bench.take(0, is_closing=True)
    assert (runs(taken), troubles(taken)) == ([], {})
    assert brokers.claimed == {}
