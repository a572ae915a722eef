"""Transactions that nobody ends."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition
from confluent_kafka import Producer

LONG_MS = 900_000
"""Longest transaction timeout that a broker allows by default."""

UNVERIFIED = {"transaction.partition.verification.enable": "false"}
"""Broker properties under which `unknown_to_its_coordinator` is taken."""


def abandoned(brokers: str, name: str, topic: str, partition: int, value: bytes) -> Producer:
    """Begin a transaction that only its timeout, in a quarter of an hour, would end.

    name: transactional id. Keep what is returned for as long as the transaction is to live.
    """
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "transactional.id": name,
            "transaction.timeout.ms": LONG_MS,
        }
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, value, b"hanging", partition)
    assert producer.flush(20) == 0
    return producer


def unknown_to_its_coordinator(
    brokers: str, name: str, topic: str, partition: int, value: bytes
) -> None:
    """Leave a transaction in a partition that its coordinator will never end.

    So does a broker that dies between deciding and writing the markers. Needs `UNVERIFIED`.
    """

    async def leave() -> None:
        producer: Any = AIOKafkaProducer(bootstrap_servers=brokers, transactional_id=name)
        await producer.start()
        try:
            await producer.begin_transaction()
            # As if the coordinator had been told of the partition.
            producer._txn_manager._txn_partitions.add(TopicPartition(topic, partition))
            await producer.send_and_wait(topic, value, b"hanging", partition)
        finally:
            producer._sender.sender_task.cancel()
            await producer.client.close()
            # Or it says so itself that nobody stopped it.
            producer._closed = True

    asyncio.run(leave())
