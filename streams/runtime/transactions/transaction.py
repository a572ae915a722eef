"""One transaction: everything that a batch publishes, and its input offsets, or nothing.

Two producers take turns, so that a transaction can begin while the broker still writes the commit
markers of the one before; a single producer would have to wait for the markers (20 ms).

The client speaks the transaction protocol from before KIP-890: a request that timed out may still
take effect after its transaction has ended, in the next transaction of the same producer. Late
records would be published twice, late offsets would set the group back, and a late commit would
publish half a transaction. The client would repeat such a request. Here, a request whose fate is
unknown fails the transaction for good, and the process that owns the transactional ids ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.producer.sender import Sender, SendProduceReqHandler
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

Pairs = Sequence[tuple[Any, ...]]
"""Records to publish: (key, value) or (key, value, headers)."""

BATCH_BYTES = 1 << 20
_OF_A_TRANSACTION = (
    ProduceRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    TxnOffsetCommitRequest,
    EndTxnRequest,
)
_NO_HEADERS: list[tuple[str, bytes]] = []


class FateUnknown(Exception):
    """A request of a transaction was sent and not answered: the broker may act on it or not.

    Operator action: none if it happens once, for the next owner goes on from the last commit; if
    it happens again, look at the health of brokers and network.
    """


def fate_unknown(error: BaseException | None) -> FateUnknown | None:
    """Return the unanswered request that an error comes from; None where it has another cause.

    The client's background task hands its own error on as the cause of another one.
    """
    while error is not None and not isinstance(error, FateUnknown):
        error = error.__cause__
    return error


class RecordTooLarge(Exception):
    """A handler wants to publish a record that is too large for its topic.

    Operator action: none; the input record that it came from becomes a dead letter after it has
    failed three times.
    """


class _StrictClient:
    """The client, but for requests of transactions whose fate is unknown: FateUnknown."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        try:
            return await self._client.send(node_id, request, **options)
        except NodeNotReadyError:
            # The request was not sent, so it may be sent later.
            raise
        except KafkaError as error:
            if isinstance(request, _OF_A_TRANSACTION):
                message = f"{type(request).__name__} to node {node_id}: {error!r}"
                raise FateUnknown(message) from error
            raise


class _StrictProduceHandler(SendProduceReqHandler):
    async def do(self, node_id: int) -> Any:
        request = self.create_request()
        try:
            response = await self._client.send(node_id, request)
        except NodeNotReadyError:
            # The request was not sent, so its batches may be sent again.
            self._client.force_metadata_update()
            self._to_reenqueue.extend(self._batches.values())
        except FateUnknown as error:
            for batch in self._batches.values():
                batch.failure(exception=error)
        else:
            self.handle_response(response)
        if self._to_reenqueue:
            await asyncio.sleep(self._default_backoff)
            for batch in self._to_reenqueue:
                self._sender._message_accumulator.reenqueue(batch)
            await self._client._maybe_wait_metadata()


class _StrictSender(Sender):
    async def _send_produce_req(self, node_id: int, batches: Mapping[Any, Any]) -> None:
        await _StrictProduceHandler(self, batches).do(node_id)
        self._in_flight.remove(node_id)
        for tp in batches:
            self._muted_partitions.remove(tp)


class _StrictProducer(AIOKafkaProducer):
    _sender: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stock = self._sender
        self._sender = _StrictSender(
            _StrictClient(self.client),
            acks=stock._acks,
            txn_manager=self._txn_manager,
            message_accumulator=self._message_accumulator,
            retry_backoff_ms=100,
            request_timeout_ms=self._request_timeout_ms,
        )


def transactional_producer(
    connection: Mapping[str, Any], transactional_id: str, transaction_timeout_ms: int
) -> AIOKafkaProducer:
    """Return a producer, not started yet; its start fences the former owner of its id."""
    return _StrictProducer(
        **connection,
        transactional_id=transactional_id,
        transaction_timeout_ms=transaction_timeout_ms,
        acks="all",
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        max_request_size=BATCH_BYTES,
    )


async def fence(
    connection: Mapping[str, Any], transactional_id: str, transaction_timeout_ms: int
) -> None:
    """Make every producer with this transactional id useless; abort a transaction it left open."""
    producer = transactional_producer(connection, transactional_id, transaction_timeout_ms)
    try:
        await producer.start()
        await producer._txn_manager.wait_for_pid()
    finally:
        await producer.stop()


class Transaction:
    """One transaction under way."""

    def __init__(self, producer: AIOKafkaProducer, producers: TransactionalProducers) -> None:
        self._producer = producer
        self._producers = producers
        self._batches: dict[tuple[str, int], list[Any]] = {}

    def anew(self) -> Transaction:
        """Return this transaction without the records that were added to it."""
        return Transaction(self._producer, self._producers)

    def add(
        self,
        topic: str,
        partition: int,
        pairs: Pairs,
        timestamp_ms: int,
        bytes_max: int = BATCH_BYTES,
    ) -> None:
        """Append records to a partition's batch, without a method call of ours per record.

        bytes_max: the largest record that the topic takes.
        """
        batches = self._batches.get((topic, partition))
        if batches is None:
            batches = self._batches[topic, partition] = [self._producer.create_batch()]
        first_of_ours = len(batches) - 1
        batch = batches[-1]
        append = batch._builder.append
        count = batch._relative_offset
        for pair in pairs:
            # The builder takes a list and nothing else.
            headers = list(pair[2]) if len(pair) > 2 else _NO_HEADERS
            if append(count, timestamp_ms, pair[0], pair[1], headers) is None:
                batch._relative_offset = count
                batch.close()
                batch = self._producer.create_batch()
                batches.append(batch)
                append = batch._builder.append
                count = 0
                append(count, timestamp_ms, pair[0], pair[1], headers)
            count += 1
        batch._relative_offset = count
        for batch in batches[first_of_ours:]:
            # A batch takes its first record however large that is, so its size is checked here.
            if batch._builder.size() > bytes_max:
                message = f"a record of {batch._builder.size()} bytes for {topic}"
                raise RecordTooLarge(message)

    async def commit(
        self, group: str, offsets: Mapping[tuple[str, int], int], owner: str, reached: Any
    ) -> dict[tuple[str, int], int]:
        """Publish the records, add the input offsets under the owner's name, and commit.

        offsets: by input (topic, partition), the next offset to read.
        Returns, by (topic, partition), the offset behind the last record. An exception of the
        producers' `went_back` leaves the transaction uncommitted.
        """
        producer = self._producer
        await producer.begin_transaction()
        reached("transaction_begun")
        deliveries = []
        for (topic, partition), batches in self._batches.items():
            for batch in batches:
                future = await producer.send_batch(batch, topic, partition=partition)
                deliveries.append((topic, partition, batch.record_count(), future))
        inputs = {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, owner)
            for (topic, partition), offset in offsets.items()
        }
        ends: dict[tuple[str, int], int] = {}
        for topic, partition, count, future in deliveries:
            metadata = await future
            where = topic, partition
            if metadata.offset < self._producers.ends.get(where, 0):
                self._producers.went_back(topic, partition, metadata.offset)
            self._producers.ends[where] = ends[where] = metadata.offset + count
        reached("records_produced")
        # Only now: while records are being added, the coordinator would answer that the
        # transaction is busy, and the records would need a retry.
        await producer.send_offsets_to_transaction(inputs, group)
        reached("offsets_added")
        reached("commit_requested")
        await producer.commit_transaction()
        reached("commit_acknowledged")
        return ends


class TransactionalProducers:
    """The two producers of a worker's generation.

    ends:      by (topic, partition), the offset behind the last record written.
    went_back: called with (topic, partition, offset) of a record that was written below its end.
    """

    def __init__(
        self, connection: Mapping[str, Any], name: str, transaction_timeout_ms: int
    ) -> None:
        self._producers = [
            transactional_producer(connection, transactional_id, transaction_timeout_ms)
            for transactional_id in transactional_ids(name)
        ]
        self._turn = 0
        self.ends: dict[tuple[str, int], int] = {}
        self.went_back: Callable[[str, int, int], None] = _nothing

    async def start(self) -> Self:
        await asyncio.gather(*(producer.start() for producer in self._producers))
        return self

    async def stop(self) -> None:
        await asyncio.gather(*(producer.stop() for producer in self._producers))

    def transaction(self) -> Transaction:
        """Return the next transaction; the one before it must have been committed."""
        producer = self._producers[self._turn]
        self._turn ^= 1
        return Transaction(producer, self)


def _nothing(topic: str, partition: int, offset: int) -> None:
    """Ignore that an output went back."""


def transactional_ids(name: str) -> tuple[str, str]:
    """Return the transactional ids of an owner's two producers."""
    return f"{name}-a", f"{name}-b"
