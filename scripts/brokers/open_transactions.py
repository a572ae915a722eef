"""Transactions that are open on the brokers, and how one is ended from outside."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import for_code
from aiokafka.structs import TopicPartition

from scripts.brokers.transaction_requests import (
    DescribeProducers,
    ListTransactions,
    WriteTxnMarkers,
)

Place = tuple[str, int]
"""Topic and partition."""
_ONGOING: Final = "Ongoing"
_COMMITTED: Final = frozenset({"PrepareCommit", "CompleteCommit"})


class NotEnded(Exception):
    """The transaction that was named is not there, or may not be ended so.

    Operator action: as the message says; list the open ones again.
    """


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that keeps a partition back.

    begins_at:  its first offset.
    written_ms: when its producer last wrote to the partition, in Unix ms.
    name, state: transactional id and state at its coordinator; empty where none knows it.
    """

    place: Place
    begins_at: int
    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    written_ms: int
    name: str
    state: str

    @property
    def named(self) -> str:
        """Return what people name it by: topic, partition and first offset."""
        topic, partition = self.place
        return f"{topic}-{partition}:{self.begins_at}"

    def line(self, now_ms: int) -> str:
        """Return it as one line for people."""
        return (
            f"{self.named}  last written "
            f"{(now_ms - self.written_ms) / 1000:.0f} s ago  producer {self.producer_id} "
            f"{self.name or '(no transactional id)'}: {self.state or 'unknown'}; {self.advice()}"
        )

    def advice(self) -> str:
        """Return how it should be ended."""
        if self.state == _ONGOING:
            return "abort, if that producer is gone: its timeout would end it too"
        if self.state in _COMMITTED:
            return "commit: its coordinator has decided so"
        if not self.name:
            return "abort, if you may describe all transactional ids: no coordinator knows of it"
        return "abort: its coordinator knows of nothing that is to be committed"


async def find(admin: Any, topics: Sequence[str]) -> list[OpenTransaction]:
    """Return the open transactions of these topics, by topic, partition and offset."""
    await admin._client.set_topics(topics)
    names: dict[int, tuple[str, str]] = {}
    for broker in admin._client.cluster.brokers():
        listed = await admin._send_request(ListTransactions(), broker.nodeId)
        _raise(listed.error_code)
        for name, producer_id, state, _ in listed.transaction_states:
            names[producer_id] = name, state
    found = []
    for node_id, places in _leaders(admin, topics).items():
        answer = await admin._send_request(DescribeProducers(places), node_id)
        for topic, partitions, _ in answer.topics:
            for partition, error_code, _, producers, _ in partitions:
                _raise(error_code)
                found += [
                    OpenTransaction(
                        (topic, partition),
                        begins_at,
                        producer_id,
                        epoch,
                        coordinator_epoch,
                        written_ms,
                        *names.get(producer_id, ("", "")),
                    )
                    for producer_id, epoch, _, written_ms, coordinator_epoch, begins_at, _ in (
                        producers
                    )
                    if begins_at >= 0
                ]
    return sorted(found, key=lambda one: (one.place, one.begins_at))


def check_end(one: OpenTransaction, how: str) -> None:
    """Raise NotEnded where this end would contradict the coordinator of a transaction."""
    if how == "abort" and one.state in _COMMITTED:
        raise NotEnded(f"its coordinator says {one.state}: its other partitions are committed")
    if how == "commit" and one.state == _ONGOING:
        raise NotEnded("its coordinator has not decided to commit it: only its producer may")


async def end(admin: Any, connection: Mapping[str, Any], one: OpenTransaction, how: str) -> None:
    """End a transaction; raises NotEnded as `check_end`."""
    check_end(one, how)
    if one.state == _ONGOING:
        await _fence(connection, one.name)
        return
    markers = WriteTxnMarkers(
        one.producer_id,
        one.producer_epoch,
        how == "commit",
        one.place,
        # None has ended a transaction of this producer here yet.
        max(0, one.coordinator_epoch),
    )
    (node_id,) = _leaders(admin, [one.place[0]], one.place[1])
    answer = await admin._send_request(markers, node_id)
    for _, topics, _ in answer.markers:
        for _, partitions, _ in topics:
            for _, error_code, _ in partitions:
                _raise(error_code)


async def _fence(connection: Mapping[str, Any], name: str) -> None:
    """Let the coordinator abort what a producer left open, on all its partitions."""
    producer = AIOKafkaProducer(**connection, transactional_id=name)
    try:
        await producer.start()
    finally:
        await producer.stop()


def _leaders(
    admin: Any, topics: Iterable[str], only: int | None = None
) -> dict[int, dict[str, list[int]]]:
    cluster = admin._client.cluster
    by_node: dict[int, dict[str, list[int]]] = {}
    for topic in topics:
        for partition in sorted(cluster.partitions_for_topic(topic) or ()):
            if only in (None, partition):
                leader = cluster.leader_for_partition(TopicPartition(topic, partition))
                by_node.setdefault(leader, {}).setdefault(topic, []).append(partition)
    return by_node


def _raise(error_code: int) -> None:
    if error_code:
        raise for_code(error_code)
