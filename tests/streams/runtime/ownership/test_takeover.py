"""Fenced, claimed, restored: what fails a step for one partition takes no part in the next one.

What brokers say is told by the test; stores are real.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import (
    CommitFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from support.workers.echo import CHANGELOG, SOURCE, Echo
from support.workers.parts import PARTITIONS, Consumer, parts_over

from state.kafka.group_offsets import NOTHING_COMMITTED
from state.owners.name import owner_name
from state.stores.partition_state import Changes
from streams.runtime.ownership import takeover as module
from streams.runtime.ownership import timeline
from streams.runtime.ownership.positions import Place, Watermarks
from streams.runtime.ownership.takeover import Taken, TakeOver
from streams.runtime.ownership.timeline import Writer
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd
from streams.settings import Settings

MY_GENERATION = 7
MY_NAME = owner_name("seats", "me", MY_GENERATION)
DEAD = owner_name("seats", "dead", 3)
OTHER = owner_name("seats", "other", 4)


@dataclass
class Brokers:
    """A group, and what can be asked beside it.

    committed:   offset and owner by partition; an error for what is not told.
    high:        where inputs end; 100 where nothing else is said.
    changelog:   where changelogs end.
    unfenced:    owners that cannot be fenced.
    did:         what was done, in order.
    """

    committed_at: dict[int, tuple[int, str] | KafkaError] = field(default_factory=dict)
    high: dict[int, int] = field(default_factory=dict)
    changelog: dict[int, int] = field(default_factory=dict)
    unfenced: set[str] = field(default_factory=set)
    strangers: set[int] = field(default_factory=set)
    restore_troubles: dict[int, PartitionTrouble] = field(default_factory=dict)
    writers: dict[tuple[str, int], Writer] = field(default_factory=dict)
    claim_fails: Exception | None = None
    fenced: list[str] = field(default_factory=list)
    claimed: dict[int, tuple[int, str]] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)

    async def committed(
        self, tps: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | KafkaError]:
        told: dict[TopicPartition, OffsetAndMetadata | KafkaError] = {}
        for tp in tps:
            at = self.committed_at.get(tp.partition, (NOTHING_COMMITTED, ""))
            told[tp] = at if isinstance(at, KafkaError) else OffsetAndMetadata(*at)
        return told

    async def claim(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        self.did.append("claim")
        if self.claim_fails is not None:
            raise self.claim_fails
        self.claimed |= {tp.partition: claim for tp, claim in offsets.items()}

    async def fence(self, _connection: object, transactional_id: str, _timeout_ms: int) -> None:
        self.did.append("fence")
        self.fenced.append(transactional_id)
        if any(transactional_id.startswith(owner) for owner in self.unfenced):
            raise KafkaConnectionError

    async def watermarks(
        self, _connection: object, changelogs: Mapping[Place, Place]
    ) -> Watermarks:
        self.did.append("watermarks")
        return Watermarks(
            dict.fromkeys(changelogs, 0),
            {place: self.high.get(place[1], 100) for place in changelogs},
            {place: self.changelog.get(place[1], 0) for place in changelogs},
        )

    async def last_writers(
        self, _connection: object, _changelogs: object
    ) -> tuple[dict[tuple[str, int], Writer], set[tuple[str, int]]]:
        return self.writers, set()

    async def of_another_timeline(
        self, _connection: object, stores: Collection[Place], _high: object
    ) -> tuple[set[Place], set[Place]]:
        return {place for place in stores if place[1] in self.strangers}, set()

    async def restore(
        self, _connection: object, stores: Mapping[Place, Any], *_: object, **__: object
    ) -> tuple[int, dict[Place, PartitionTrouble]]:
        self.did.append("restore")
        found = {
            place: self.restore_troubles[place[1]]
            for place in stores
            if place[1] in self.restore_troubles
        }
        return len(stores) - len(found), found


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    told = Brokers()
    monkeypatch.setattr(module, "fence", told.fence)
    monkeypatch.setattr(module, "watermarks", told.watermarks)
    monkeypatch.setattr(module, "restore", told.restore)
    monkeypatch.setattr(timeline, "last_writers", told.last_writers)
    monkeypatch.setattr(timeline, "of_another_timeline", told.of_another_timeline)
    return told


class Bench:
    def __init__(self, directory: Path, brokers: Brokers) -> None:
        settings = Settings(app_id="seats", instance="me")
        self.parts = parts_over(directory, Echo().route(), Consumer(), settings)
        self.brokers = brokers

    def take(self, *numbers: int, is_closing: bool = False) -> Taken:
        """Take these partitions over; what they opened is closed again."""

        async def taking() -> Taken:
            closing = asyncio.Event()
            takeover = TakeOver(
                self.parts,
                generation_id=MY_GENERATION,
                name=MY_NAME,
                group=self.brokers,
                closing=closing,
            )
            if is_closing:
                closing.set()
            taken = await takeover.take(
                [(SOURCE, number) for number in numbers], beside=asyncio.sleep(0), stalled_s=1.0
            )
            for partition in taken.partitions.values():
                partition.state.store.close()
            return taken

        return asyncio.run(taking())


@pytest.fixture
def bench(tmp_path: Path, brokers: Brokers) -> Bench:
    return Bench(tmp_path, brokers)


def runs(taken: Taken) -> list[int]:
    return sorted(number for _, number in taken.partitions)


def troubles(taken: Taken) -> dict[int, str]:
    return {number: str(trouble) for (_, number), trouble in taken.troubles.items()}


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
