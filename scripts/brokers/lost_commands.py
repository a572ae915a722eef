"""Commands that retention removed before a worker had decided them, and how they are given up."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

from state.kafka.group_offsets import committed_in
from state.stores.envelope import pack, seed_of, unpack
from state.stores.memory import MemoryStore
from state.stores.partition_state import SKIPPED_KEY, PartitionState, Store
from streams.batch import State
from streams.route import Progress, Route
from streams.runtime.ownership.changelog import ChangelogReader, Owns
from streams.runtime.ownership.restore import restore
from streams.runtime.ownership.timeline import pack_pairs, pairs_of
from streams.runtime.transactions.dead_letters import lost_record
from streams.runtime.transactions.transaction import (
    TransactionalProducers,
    fence,
    transactional_ids,
)
from streams.settings import Settings

STALLED_S = 30.0


class Refused(Exception):
    """Nothing may be given up now; the message says what to do first."""


class Topics(NamedTuple):
    """The topics of one route, and what tells how far its state has come; fields as its."""

    source: str
    changelog: str
    dead_letters: str
    progress: Callable[[State], Progress] | None
    may_store: Owns | None

    @classmethod
    def of(cls, route: Route) -> "Topics":
        return cls(
            route.source, route.changelog, route.dead_letters, route.progress, route.may_store
        )

    def next_offset(self, store: Store, committed: int) -> int:
        """Return the offset that a partition goes on from; 0 where it has not begun.

        committed: of the group, -1 for none; without a progress nothing else tells.
        """
        if self.progress is None:
            return max(0, committed)
        return self.progress(PartitionState(store)).next_offset


class Lost(NamedTuple):
    """Commands of one partition that are gone: from `first` to before `behind`.

    owner: who is named beside the committed offset. store: the state, read from the changelog.
    """

    partition: int
    first: int
    behind: int
    owner: str
    store: MemoryStore


async def find_lost(settings: Settings, topics: Topics) -> list[Lost]:
    """Return the partitions whose state stands before the first record of the log.

    Raises Refused while the group has members, or where a state cannot be read.
    """
    committed, numbers = await group_at_rest(settings, topics.source)
    consumer = AIOKafkaConsumer(**settings.connection, isolation_level="read_uncommitted")
    await consumer.start()
    try:
        sources = [TopicPartition(topics.source, number) for number in numbers]
        changelogs = [TopicPartition(topics.changelog, number) for number in numbers]
        low = await consumer.beginning_offsets(sources)
        ends = await consumer.end_offsets(changelogs)
    finally:
        await consumer.stop()
    # Where the group stands behind the first record, and where nothing was removed, none is lost.
    suspects = {
        tp.partition: ends[TopicPartition(topics.changelog, tp.partition)]
        for tp in sources
        if low[tp] > 0 and committed.get(tp, (-1, ""))[0] <= low[tp]
    }
    stores = await _states(settings, topics, suspects, len(numbers))
    lost = []
    for number, store in stores.items():
        tp = TopicPartition(topics.source, number)
        offset, owner = committed.get(tp, (-1, ""))
        first = stands = topics.next_offset(store, offset)
        given_up = _given_up(store)
        for begin, behind in sorted(given_up):
            first = behind if begin <= first < behind else first
        if first < low[tp] and (stands or offset >= 0):
            lost.append(Lost(number, first, low[tp], owner, store))
    return lost


async def group_at_rest(
    settings: Settings, source: str
) -> tuple[dict[TopicPartition, tuple[int, str]], list[int]]:
    """Return offset and owner by partition, and all partitions of the source.

    Raises Refused while the group has members.
    """
    admin = AIOKafkaAdminClient(**settings.connection)
    await admin.start()
    try:
        [described_source] = await admin.describe_topics([source])
        if described_source["error_code"]:
            raise for_code(described_source["error_code"])(source)
        numbers = sorted(one["partition"] for one in described_source["partitions"])
        [described] = await admin.describe_consumer_groups([settings.app_id])
        for error_code, group, state, _, _, members, *_ in described.groups:
            if error_code:
                raise for_code(error_code)(group)
            if members:
                raise Refused(
                    f"group {group} is {state} and has {len(members)} members: stop all workers, "
                    "and wait until their session timeout is over"
                )
        coordinator = await admin.find_coordinator(settings.app_id)
        request = OffsetFetchRequest(settings.app_id, None)
        # The public call reads no error of the whole group.
        told = committed_in(await admin._send_request(request, coordinator))  # noqa: SLF001
    finally:
        await admin.close()
    found: dict[TopicPartition, tuple[int, str]] = {}
    for tp, at in told.items():
        if isinstance(at, KafkaError):
            raise at
        found[tp] = at.offset, at.metadata
    return found, numbers


async def _states(
    settings: Settings, topics: Topics, ends: Mapping[int, int], partitions: int
) -> dict[int, MemoryStore]:
    """Read the state of partitions from the changelog up to these ends."""
    places = {number: (topics.changelog, number) for number in ends}
    stores = {number: MemoryStore(seed_of(*place)) for number, place in places.items()}
    readers = {
        place: ChangelogReader(*place, stores[number], partitions, topics.may_store)
        for number, place in places.items()
    }
    with ThreadPoolExecutor(1) as executor:
        _, troubles = await restore(
            settings.connection,
            {place: stores[number] for number, place in places.items()},
            {place: ends[number] for number, place in places.items()},
            readers,
            executor=executor,
            progressed=lambda *_: None,
            cancelled=lambda: False,
            stalled_s=STALLED_S,
        )
    for (topic, number), trouble in troubles.items():
        raise Refused(f"the state of {topic}-{number} cannot be read: {trouble}")
    return stores


def _given_up(store: MemoryStore) -> list[tuple[int, int]]:
    [stored] = store.get_many([SKIPPED_KEY])
    return [] if stored is None else pairs_of(unpack(stored, store.seed)[0])


async def fence_owners(settings: Settings, owners: Iterable[str]) -> None:
    """Make owners useless that the group lost, and end what they have open.

    One that sleeps is no member, and would commit its own offsets when it wakes.
    """
    for owner in {one for one in owners if one}:
        for name in transactional_ids(owner):
            await fence(settings.connection, name, settings.transaction_timeout_ms)


async def give_up(settings: Settings, topics: Topics, lost: Sequence[Lost]) -> None:
    """Write down what is lost and move the group behind it, a transaction for each partition."""
    await fence_owners(settings, (one.owner for one in lost))
    writer = TransactionalProducers(
        settings.connection,
        f"{settings.app_id}-skip-lost-commands",
        settings.transaction_timeout_ms,
    )
    await writer.start()
    try:
        now_ms = int(time.time() * 1000)
        for one in lost:
            store = one.store
            skipped = pack_pairs([*_given_up(store), (one.first, one.behind)])
            record = pack(skipped, seed=store.seed, order=store.order)
            letter = lost_record(topics.source, one.partition, one.first, one.behind, now_ms)
            transaction = writer.transaction()
            transaction.add(topics.changelog, one.partition, [(SKIPPED_KEY, record)], now_ms)
            transaction.add(topics.dead_letters, one.partition, [letter], now_ms)
            # The former owner stays named: whoever takes the partition over fences it.
            offsets = {(topics.source, one.partition): one.behind}
            await transaction.commit(settings.app_id, offsets, one.owner, lambda _: None)
    finally:
        await writer.stop()
