"""Moves a group that has no members; the broker refuses where it has some."""

import os
import time
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.producer import AIOKafkaProducer
from aiokafka.structs import OffsetAndMetadata

from schemas.topics import DEAD_LETTER_QUEUE
from scripts.brokers.actions import headers_of
from scripts.brokers.lost_commands import group_at_rest
from scripts.offsets.plan import At, Move, Place
from streams.settings import Settings


def settings_for(brokers: str) -> Settings:
    """Return the settings that workers have, for these brokers; raises BadSetting."""
    return Settings.from_env({**os.environ, "KAFKA_BROKERS": brokers})


async def committed_at_rest(settings: Settings, topic: str) -> dict[Place, At]:
    """Return where the group stands; raises Refused while it has members."""
    found, _ = await group_at_rest(settings, topic)
    return {
        (tp.topic, tp.partition): At(offset, owner)
        for tp, (offset, owner) in found.items()
        if tp.topic == topic and offset >= 0
    }


def action_of(move: Move, group: str, who: str, why: str, now_ms: int) -> list[tuple[str, bytes]]:
    """Return the headers of the record that says that a group was moved."""
    told = {
        "action": "set-offset",
        "group": group,
        "place": move.name,
        "was": str(move.was),
        "to": str(move.to),
        "by": who,
        "reason": why,
        "at-ms": str(now_ms),
    }
    return headers_of(told)


async def move_group(settings: Settings, moved: Sequence[Move], who: str, why: str) -> None:
    """Write down what is done, then do it; raises KafkaError.

    Written before: what was done and not written down would be known to nobody. Whoever is
    stopped in between runs it again, and finds it done or not.
    """
    now_ms = time.time_ns() // 1_000_000
    producer = AIOKafkaProducer(**settings.connection, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for move in moved:
            headers = action_of(move, settings.app_id, who, why, now_ms)
            await producer.send_and_wait(
                DEAD_LETTER_QUEUE.name,
                key=move.name.encode(),
                partition=move.place[1],
                headers=headers,
            )
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(
        **settings.connection, group_id=settings.app_id, enable_auto_commit=False
    )
    await consumer.start()
    try:
        positions = positions_of(moved)
        consumer.assign([*positions])
        # Without a generation the coordinator takes it only while the group is empty.
        await consumer.commit(positions)
    finally:
        await consumer.stop()


def positions_of(moved: Sequence[Move]) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """Return what is committed; the owner stays named, so that the next one fences it."""
    return {TopicPartition(*move.place): OffsetAndMetadata(move.to, move.owner) for move in moved}
