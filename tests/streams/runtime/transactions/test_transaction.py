"""What a batch publishes is in one transaction, and a request whose fate is unknown fails it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    RequestTimedOutError,
)
from aiokafka.protocol.metadata import MetadataRequest_v1
from aiokafka.protocol.transaction import EndTxnRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from hypothesis import example, given
from hypothesis import strategies as st

from streams.batch import Outgoing
from streams.runtime.transactions.transaction import (
    BATCH_BYTES,
    FateUnknown,
    RecordTooLarge,
    Transaction,
    TransactionalProducers,
    _StrictClient,
    fate_unknown,
    transactional_ids,
    transactional_producer,
)

CONNECTION = {"bootstrap_servers": ["127.0.0.1:1"]}


class Appended(NamedTuple):
    offset: int


class RecordingProducer:
    """Stands where aiokafka's producer does once a transaction is committed.

    ends: the offset that the next record of each (topic, partition) gets.
    """

    def __init__(self) -> None:
        self.ends: dict[tuple[str, int], int] = {}
        self.did: list[str] = []
        self.offsets: Mapping[TopicPartition, OffsetAndMetadata] = {}
        self.batches: dict[tuple[str, int], list[Any]] = {}
        self._builder = transactional_producer(CONNECTION, "id", 15_000)

    def create_batch(self) -> Any:
        return self._builder.create_batch()

    async def begin_transaction(self) -> None:
        self.did.append("begin")

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
        self.did.append(f"{topic}-{partition}")
        where = topic, partition
        self.batches.setdefault(where, []).append(batch)
        offset = self.ends.get(where, 0)
        self.ends[where] = offset + batch.record_count()
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(Appended(offset))
        return acknowledged

    async def send_offsets_to_transaction(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group: str
    ) -> None:
        self.did.append(f"offsets of {group}")
        self.offsets = offsets

    async def commit_transaction(self) -> None:
        self.did.append("commit")

    async def stop(self) -> None:
        await self._builder.stop()


class Producers(TransactionalProducers):
    """The two producers of a generation, of which one is used here."""

    def __init__(self, producer: RecordingProducer) -> None:
        self.ends = {}
        self.lost: list[tuple[str, int, int]] = []
        self.went_back = lambda *where: self.lost.append(where)
        self.producer = producer

    def transaction(self) -> Transaction:
        return Transaction(self.producer, self)


def with_producers(talk: Callable[[Producers], Awaitable[None]]) -> None:
    async def conversation() -> None:
        producer = RecordingProducer()
        try:
            await talk(Producers(producer))
        finally:
            await producer.stop()

    asyncio.run(conversation())


def contents(batch: Any) -> list[tuple[bytes | None, bytes, int]]:
    """Return (key, value, timestamp) of every record of a batch."""
    batch.close()
    records = MemoryRecords(bytes(batch._build()))
    return [
        (record.key, record.value, record.timestamp)
        for parsed in iter(records.next_batch, None)
        for record in parsed
    ]


pairs = st.lists(
    st.tuples(st.one_of(st.none(), st.binary(max_size=10)), st.binary(max_size=300_000))
)


# More than one batch holds.
@example([(b"k", bytes([at]) * 400_000) for at in range(6)])
@given(pairs)
def test_records_of_all_sizes_come_in_their_order_in_batches_that_a_broker_takes(
    told: list[tuple[bytes | None, bytes]],
) -> None:
    async def talk(producers: Producers) -> None:
        transaction = producers.transaction()
        transaction.add("out", 3, told, 1_234)
        batches = transaction._batches["out", 3]
        assert all(batch._builder.size() <= BATCH_BYTES for batch in batches)
        found = [record for batch in batches if batch.record_count() for record in contents(batch)]
        assert found == [(key, value, 1_234) for key, value in told]

    with_producers(talk)


def test_a_record_that_no_broker_takes_is_refused_before_anything_is_sent() -> None:
    async def talk(producers: Producers) -> None:
        with pytest.raises(RecordTooLarge, match="for out"):
            producers.transaction().add("out", 0, [(b"k", b"x" * BATCH_BYTES)], 0)
        with pytest.raises(RecordTooLarge):
            producers.transaction().add("dead", 0, [(b"k", b"x" * 100)], 0, bytes_max=50)
        assert producers.producer.did == []

    with_producers(talk)


def test_offsets_follow_the_records_and_come_with_their_owners_name() -> None:
    async def talk(producers: Producers) -> None:
        producers.producer.ends = {("out", 0): 5, ("changelog", 0): 9}
        transaction = producers.transaction()
        transaction.add("out", 0, [(b"k", b"a"), (b"k", b"b")], 0)
        transaction.add("changelog", 0, [(b"k", b"c")], 0)
        reached: list[str] = []
        ends = await transaction.commit("seats", {("in", 0): 42}, "owner-7", reached.append)
        assert ends == {("out", 0): 7, ("changelog", 0): 10}
        assert producers.ends == ends
        assert producers.producer.did == [
            "begin", "out-0", "changelog-0", "offsets of seats", "commit"
        ]  # fmt: skip
        assert producers.producer.offsets == {
            TopicPartition("in", 0): OffsetAndMetadata(42, "owner-7")
        }
        assert reached == [
            "transaction_begun",
            "records_produced",
            "offsets_added",
            "commit_requested",
            "commit_acknowledged",
        ]

    with_producers(talk)


def test_a_topic_that_goes_on_before_what_was_written_to_it_is_told_of() -> None:
    async def talk(producers: Producers) -> None:
        producers.ends = {("out", 0): 8}
        transaction = producers.transaction()
        transaction.add("out", 0, [(b"k", b"a")], 0)
        await transaction.commit("seats", {}, "owner", lambda _: None)
        assert producers.lost == [("out", 0, 0)]
        assert producers.ends == {("out", 0): 1}

    with_producers(talk)


def test_who_forbids_to_go_on_there_leaves_the_transaction_uncommitted() -> None:
    async def talk(producers: Producers) -> None:
        def forbid(*_: object) -> None:
            raise ZeroDivisionError

        producers.ends = {("changelog", 0): 8}
        producers.went_back = forbid
        transaction = producers.transaction()
        transaction.add("changelog", 0, [(b"k", b"a")], 0)
        with pytest.raises(ZeroDivisionError):
            await transaction.commit("seats", {}, "owner", lambda _: None)
        assert "commit" not in producers.producer.did

    with_producers(talk)


def test_a_transaction_made_anew_has_nothing_of_what_was_added_before() -> None:
    async def talk(producers: Producers) -> None:
        transaction = producers.transaction()
        transaction.add("out", 0, [(b"k", b"a")], 0)
        await transaction.anew().commit("seats", {}, "owner", lambda _: None)
        assert producers.producer.batches == {}

    with_producers(talk)


class Broker:
    """A client whose requests all fail in one way."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def send(self, *_: object, **__: object) -> None:
        raise self.error


END = EndTxnRequest("id", 1, 1, True)


@pytest.mark.parametrize(
    ("request_", "error", "told"),
    [
        (END, RequestTimedOutError(), FateUnknown),
        (END, KafkaConnectionError(), FateUnknown),
        # Nothing was sent: the client may send it again.
        (END, NodeNotReadyError(), NodeNotReadyError),
        # No part of a transaction.
        (MetadataRequest_v1([]), RequestTimedOutError(), RequestTimedOutError),
    ],
)
def test_only_a_request_of_a_transaction_that_was_sent_has_an_unknown_fate(
    request_: Any, error: Exception, told: type[Exception]
) -> None:
    with pytest.raises(told):
        asyncio.run(_StrictClient(Broker(error)).send(1, request_))


def test_an_unknown_fate_is_found_behind_the_error_that_the_client_makes_of_it() -> None:
    unanswered = FateUnknown("TxnOffsetCommitRequest to node 1: KafkaConnectionError()")
    wrapped = KafkaError("Unexpected error during batch delivery")
    wrapped.__cause__ = unanswered
    assert fate_unknown(wrapped) is fate_unknown(unanswered) is unanswered
    assert fate_unknown(KafkaError("ProducerFenced")) is None


def test_two_producers_take_turns_and_have_ids_of_their_own() -> None:
    async def talk() -> None:
        producers = TransactionalProducers(CONNECTION, "seats-one-7", 15_000)
        first, second, third = (producers.transaction() for _ in range(3))
        assert first._producer is third._producer is not second._producer
        names = [one._producer._txn_manager.transactional_id for one in (first, second)]
        assert names == [*transactional_ids("seats-one-7")]
        await producers.stop()

    asyncio.run(talk())


def test_headers_are_written_whatever_sequence_they_come_in() -> None:
    """The client's builder takes a list, and nothing else."""
    ids = (("correlation-id", b"c1"),)

    async def talk(producers: Producers) -> None:
        transaction = producers.transaction()
        transaction.add("out", 3, [(b"k", b"1"), (b"k", b"2", ids), Outgoing(b"k", b"3", ids)], 5)
        [batch] = transaction._batches["out", 3]
        batch.close()
        records = MemoryRecords(bytes(batch._build()))
        found = [tuple(one.headers) for one in records.next_batch()]
        assert found == [(), ids, ids]

    with_producers(talk)
