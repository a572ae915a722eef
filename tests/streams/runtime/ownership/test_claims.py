"""Former owners are fenced and offsets claimed, each partition for itself."""

from pathlib import Path

import pytest
from aiokafka.errors import (
    CommitFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)
from support.workers.echo import CHANGELOG
from support.workers.parts import PARTITIONS
from support.workers.taking_over import (
    DEAD,
    MY_GENERATION,
    MY_NAME,
    OTHER,
    Bench,
    Brokers,
    runs,
    told,
    troubles,
)

from state.owners.name import owner_name
from streams.runtime.ownership.timeline import Writer
from streams.runtime.process.fatal import WorkerMustEnd


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    return told(monkeypatch)


@pytest.fixture
def bench(tmp_path: Path, brokers: Brokers) -> Bench:
    return Bench(tmp_path, brokers)


def test_what_is_ours_already_is_not_fenced(bench: Bench, brokers: Brokers) -> None:
    brokers.committed_at = {0: (42, MY_NAME)}
    assert runs(bench.take(0)) == [0]
    assert brokers.fenced == []


def test_an_owner_that_cannot_be_fenced_keeps_its_own_partitions_back_and_no_others(
    bench: Bench, brokers: Brokers
) -> None:
    brokers.committed_at = {0: (1, DEAD), 1: (1, OTHER)}
    brokers.unfenced = {DEAD}
    taken = bench.take(0, 1)
    assert runs(taken) == [1]
    assert "could not be fenced" in troubles(taken)[0]
    assert list(brokers.claimed) == [1]


def test_a_partition_of_which_the_coordinator_says_nothing_is_not_claimed(
    bench: Bench, brokers: Brokers
) -> None:
    brokers.committed_at = {0: TopicAuthorizationFailedError("in-0"), 1: (1, MY_NAME)}
    taken = bench.take(0, 1)
    assert runs(taken) == [1]
    assert "is not to be had from the brokers" in troubles(taken)[0]
    assert list(brokers.claimed) == [1]


def test_an_offset_that_cannot_be_believed_is_not_claimed(bench: Bench, brokers: Brokers) -> None:
    brokers.committed_at = {0: (101, MY_NAME), 1: (100, MY_NAME)}
    taken = bench.take(0, 1)
    assert runs(taken) == [1]
    assert "lies beyond the end 100" in troubles(taken)[0]
    assert list(brokers.claimed) == [1]


def test_a_younger_owner_ends_the_worker_that_was_away(bench: Bench, brokers: Brokers) -> None:
    brokers.committed_at = {0: (1, owner_name("seats", "heir", MY_GENERATION + 1))}
    with pytest.raises(WorkerMustEnd, match="this worker was away too long"):
        bench.take(0)
    assert brokers.fenced == []
    assert brokers.claimed == {}


def test_a_partition_that_was_added_ends_the_worker(bench: Bench) -> None:
    with pytest.raises(WorkerMustEnd, match="partitions were added"):
        bench.take(0, PARTITIONS)


def test_a_state_of_a_former_topic_takes_none_of_its_partitions(
    bench: Bench, brokers: Brokers
) -> None:
    brokers.writers = {(CHANGELOG, 3): Writer(1, PARTITIONS, "a former id")}
    taken = bench.take(0, 1)
    assert runs(taken) == []
    assert all("was deleted and created again" in why for why in troubles(taken).values())
    assert brokers.claimed == {}


def test_a_claim_that_fails_is_the_trouble_of_each_until_each_is_asked_alone(
    bench: Bench, brokers: Brokers
) -> None:
    brokers.claim_fails = KafkaConnectionError("gone")
    taken = bench.take(0, 1)
    assert runs(taken) == []
    assert sorted(troubles(taken)) == [0, 1]
    assert all("could not be read or claimed" in why for why in troubles(taken).values())
    assert brokers.claimed == {}


def test_a_group_that_has_moved_on_is_nobodys_trouble(bench: Bench, brokers: Brokers) -> None:
    brokers.claim_fails = CommitFailedError("rebalanced")
    with pytest.raises(CommitFailedError):
        bench.take(0)
