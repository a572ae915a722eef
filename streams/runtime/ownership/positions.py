"""From which offset a partition goes on, and whether that offset can be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from state.kafka.group_offsets import NOTHING_COMMITTED
from streams.route import Route
from streams.runtime.process.fatal import PartitionTrouble

Place = tuple[str, int]
"""Topic and partition of an input."""

TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Watermarks:
    """By input: its first and next offset, and its changelog's next offset; -1 if not told."""

    low: Mapping[Place, int]
    high: Mapping[Place, int]
    changelog_high: Mapping[Place, int]


async def watermarks(
    connection: Mapping[str, Any], changelogs: Mapping[Place, Place]
) -> Watermarks:
    """Ask for the watermarks of inputs and their changelogs; raises KafkaError and OSError."""
    inputs = {place: TopicPartition(*place) for place in changelogs}
    outputs = {place: TopicPartition(*changelog) for place, changelog in changelogs.items()}
    # A consumer of its own: the group's reads committed records, so for it a partition ends at
    # the last stable offset.
    consumer = AIOKafkaConsumer(**connection, isolation_level="read_uncommitted", group_id=None)
    await consumer.start()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            low = await consumer.beginning_offsets(list(inputs.values()))
            high = await consumer.end_offsets([*inputs.values(), *outputs.values()])
    finally:
        await consumer.stop()
    return Watermarks(
        {place: low.get(tp, -1) for place, tp in inputs.items()},
        {place: high.get(tp, -1) for place, tp in inputs.items()},
        {place: high.get(tp, -1) for place, tp in outputs.items()},
    )


def believed(place: Place, route: Route, committed: int, marks: Watermarks) -> int:
    """Return the offset to go on from; raise PartitionTrouble where none can be believed.

    route: of the place. committed: NOTHING_COMMITTED where there is none.
    """
    known = None if committed == NOTHING_COMMITTED else committed
    name = f"{place[0]}-{place[1]}"
    low, high = marks.low[place], marks.high[place]
    if min(low, high, marks.changelog_high[place]) < 0:
        message = f"{name}: the brokers do not tell where it ends. Look at them"
        raise PartitionTrouble(message, "offsets")
    if known is None and marks.changelog_high[place] > 0:
        # An owner commits an offset before it writes state, so the group once had one.
        message = (
            f"{name}: {route.changelog} holds state, but the group has no committed offset. Is "
            "this the group whose workers made that state (SEATSTREAM_APP_ID)? Two groups must "
            "never write one state. If it is, its offsets expired or were deleted: stop all its "
            "workers, set its offset here to 0, and start them: nothing is applied twice, but "
            "outcomes are told again"
        )
        raise PartitionTrouble(message, "offsets")
    offset = low if known is None else known
    if offset > high:
        message = (
            f"{name}: the committed offset {offset} lies beyond the end {high}: the topic "
            "lost records, or is another one. Do not reset the group's offsets: restore the "
            'brokers from a backup, or begin anew. See "A backup" in docs/operations.md'
        )
        raise PartitionTrouble(message, "offsets")
    if offset < low:
        message = (
            f"{name}: the committed offset {offset} lies before the first record "
            f"{low}: retention removed commands that were never processed. To see which, and "
            f"to give them up: python -m scripts.skip_lost_commands --role {route.role}"
        )
        raise PartitionTrouble(message, "offsets")
    return offset
