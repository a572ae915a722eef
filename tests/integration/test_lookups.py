"""Committed records are found at their owner, whatever becomes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from confluent_kafka import KafkaException, Producer
from integration.counting import KEY_TAG
from integration.workers import ENDED_ITSELF, Fleet, read_committed

from infra.stack.processes import wait_until
from state.owners.directory import CommittedOwners
from state.owners.lookup import OwnerLookup
from state.owners.name import address_of, owner_name
from state.owners.questions import OwnerNotReady, OwnerUnreachable
from state.stores import envelope
from state.stores.partition_state import SIGNED_KEYS

pytestmark = pytest.mark.kafka

TOKEN = "a secret of tests"


def totals(fleet: Fleet) -> dict[tuple[int, bytes], bytes]:
    """Return what the owners must have by (partition, store key), from the changelog."""
    folded = {}
    for record in read_committed(fleet.brokers, fleet.topics.changelog, fleet.partitions):
        if record.key in SIGNED_KEYS:
            continue
        assert record.value is not None
        seed = envelope.seed_of(fleet.topics.changelog, record.partition)
        folded[record.partition, record.key] = envelope.unpack(record.value, seed)[0]
    return folded


def asking(fleet: Fleet, patience_s: float = 0.2) -> OwnerLookup:
    return OwnerLookup(fleet.brokers, fleet.app_id, TOKEN, patience_s=patience_s)


async def all_found(fleet: Fleet, pod: OwnerLookup) -> dict[tuple[int, bytes], bytes | None]:
    return {
        place: await pod.get(fleet.topics.words, place[0], place[1]) for place in totals(fleet)
    }


async def answer_of(ask: Callable[[], Awaitable[bytes | None]]) -> bytes | str | None:
    try:
        return await ask()
    except (OwnerNotReady, OwnerUnreachable) as error:
        return type(error).__name__


async def owners_of(fleet: Fleet) -> dict[int, str]:
    group = CommittedOwners(fleet.brokers, fleet.app_id)
    try:
        owners = await group.owners()
    finally:
        await group.close()
    return {partition: owner for (_, partition), owner in owners.items()}


async def addresses(fleet: Fleet) -> set[str]:
    return {address_of(owner) for owner in (await owners_of(fleet)).values()}


def test_records_are_found_at_their_owner_and_after_its_death_or_leave_at_the_next_one(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(SEATSTREAM_LOOKUP_TOKEN=TOKEN)
    one, two = (fleet.worker(name).start() for name in ("one", "two"))
    for worker in (one, two):
        worker.wait_ready()
    assert wait_until(lambda: one.metric("seatstream_partitions_owned") == 2, 60)
    fleet.produce(3_000)
    fleet.settle()
    expected = totals(fleet)
    words = fleet.topics.words

    async def look() -> None:
        async with asking(fleet) as pod:
            assert await all_found(fleet, pod) == expected
            assert await pod.get(words, 0, KEY_TAG + b"nobody") is None
            assert len(await addresses(fleet)) == 2
            with pytest.raises(OwnerUnreachable):
                await pod.get(words, 99, KEY_TAG)

            victims = [p for p, owner in (await owners_of(fleet)).items() if "-one@" in owner]
            (partition, key), value = next(
                item for item in expected.items() if item[0][0] in victims
            )
            one.kill()
            assert await answer_of(lambda: pod.get(words, partition, key)) == "OwnerUnreachable"
            # The session ends, the other worker takes over.
            async with asking(fleet, patience_s=60) as patient:
                assert await patient.get(words, partition, key) == value

            # It comes back, and partitions move to it: no look-up is answered wrongly.
            one.start()
            moved: set[bytes | str | None] = set()
            while not one.is_ready() or len(await addresses(fleet)) < 2:
                moved.add(await answer_of(lambda: pod.get(words, partition, key)))
            assert moved <= {value, "OwnerNotReady", "OwnerUnreachable"}
            async with asking(fleet, patience_s=60) as patient:
                assert await all_found(fleet, patient) == expected

            # A pod that still has its connections does not keep the worker from leaving.
            assert await asyncio.to_thread(two.terminate) == 0
            async with asking(fleet, patience_s=60) as patient:
                assert await all_found(fleet, patient) == expected

    asyncio.run(look())
    assert fleet.verify() == 3_000


def test_while_the_owner_restores_it_is_told_apart_from_nobody_and_nothing(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1, SEATSTREAM_LOOKUP_TOKEN=TOKEN)
    worker = fleet.worker("one").start().wait_ready()
    fleet.produce(300)
    fleet.settle()
    [(place, value), *_] = [item for item in totals(fleet).items() if item[0][1] != b"p"]
    assert worker.terminate() == 0
    worker.wipe()
    # The restore reads to the high watermark, and waits for this transaction to end.
    foreign = open_transaction(fleet, fleet.prefix + "foreign")
    worker.start()
    assert wait_until(lambda: worker.output().count("health pages at") == 2, 60), worker.tail()

    async def look() -> None:
        async with asking(fleet) as pod:
            seen: set[bytes | str | None] = set()
            while "OwnerNotReady" not in seen:
                seen.add(await answer_of(lambda: pod.get(fleet.topics.words, *place)))
            # Before it has claimed, the address of its former process is what is known.
            assert seen <= {"OwnerNotReady", "OwnerUnreachable"}
            foreign.abort_transaction(20)
        async with asking(fleet, patience_s=60) as pod:
            assert await pod.get(fleet.topics.words, *place) == value

    asyncio.run(look())


def open_transaction(fleet: Fleet, transactional_id: str) -> Producer:
    """Leave a transaction open over the changelog of partition 0."""
    producer = Producer(
        {
            "bootstrap.servers": fleet.brokers,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": 60_000,
        }
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(fleet.topics.changelog, envelope.pack(b"1"), KEY_TAG + b"0-0", 0)
    producer.flush(20)
    return producer


@pytest.mark.parametrize("address", ["", "127.0.0.1:1"])
def test_a_worker_fences_owners_with_and_without_an_address(
    new_fleet: Callable[..., Fleet], address: str
) -> None:
    fleet = new_fleet(partitions=1)
    former = owner_name(fleet.app_id, "former", 0, address)
    asyncio.run(commit(fleet, 0, former))
    left_open = open_transaction(fleet, former + "-a")
    worker = fleet.worker("one").start().wait_ready()
    assert f"fenced {former}" in worker.output()
    with pytest.raises(KafkaException):
        left_open.commit_transaction(20)
    fleet.produce(200)
    fleet.settle()
    assert fleet.verify() == 200


async def commit(fleet: Fleet, offset: int, metadata: str) -> None:
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=fleet.brokers, group_id=fleet.app_id, enable_auto_commit=False
    )
    await consumer.start()
    try:
        tp = TopicPartition(fleet.topics.words, 0)
        consumer.assign([tp])
        await consumer.commit({tp: OffsetAndMetadata(offset, metadata)})
    finally:
        await consumer.stop()


def test_a_worker_of_before_the_address_fences_one_of_after_it(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1, SEATSTREAM_WATCHDOG="0", SEATSTREAM_TRANSACTION_RECORDS="200")
    worker = fleet.worker("one").start().wait_ready()
    # The load goes on after the pause has begun, so that it has work left when it wakes: a worker
    # without any never learns that it was fenced.
    with fleet.load(4_000) as sent:
        assert wait_until(lambda: worker.metric("seatstream_transaction_records_count") > 5, 60)
        worker.pause()
        before = sent()
        assert wait_until(lambda: sent() > before + 400, 60)
    [metadata] = asyncio.run(owners_of(fleet)).values()
    assert address_of(metadata)
    # What that version did: initialise the ids that begin with the whole text.
    for transactional_id in (metadata + "-a", metadata + "-b"):
        fencer = Producer(
            {"bootstrap.servers": fleet.brokers, "transactional.id": transactional_id}
        )
        fencer.init_transactions(20)
    worker.resume()
    assert worker.ended() == ENDED_ITSELF
    worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == sent()
