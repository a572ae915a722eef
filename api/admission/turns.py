"""Writes down what became of turns, so that a lost Redis costs nobody the place.

Whoever tells a user of a turn writes it down first, and so does who lets others in. A process that
dies between Redis and the log has told nobody; the step stays noted in Redis until somebody has
written it down, and one that is written twice is written once.
"""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from serdes.registry.ids import SchemaIds
from state.domain.waiting.line import Fact
from state.domain.waiting.lots import Opening
from state.kafka.command_log import CommandLog
from state.records.waiting.turns import (
    TurnCodecs,
    record_of,
    seed_key,
    seed_record_of,
    turn_key,
)
from state.redis.waiting.rooms import WaitingRooms

AT_ONCE_MAX = 500
"""Records of one room on their way at once: whoever enters meanwhile has room in the client."""


class TurnLog:
    """Appends to waiting-turns.

    log: of that topic; started and closed by whoever has it.
    """

    def __init__(self, log: CommandLog, ids: SchemaIds) -> None:
        self.log = log
        self._codecs = TurnCodecs.of(ids)

    async def say(self, rooms: WaitingRooms, event_id: int, facts: Sequence[Fact]) -> None:
        """Write facts down; raises as `CommandLog.send` where that is not certain."""
        for first in range(0, len(facts), AT_ONCE_MAX):
            part = facts[first : first + AT_ONCE_MAX]
            await asyncio.gather(*(self._append(event_id, fact) for fact in part))
            await rooms.said(event_id, part)

    async def say_all(self, rooms: WaitingRooms, event_id: int) -> None:
        """Write down all that is noted of a room; raises as `say`."""
        async for facts in rooms.unsaid(event_id):
            await self.say(rooms, event_id, facts)

    async def say_seed(self, event_id: int, opening: Opening) -> None:
        """Write down what is told of a seed; raises as `say`.

        On every partition: whatever lies behind it in any of them was written later.
        """
        key = seed_key(event_id, opening, uuid4().hex)
        value = self._codecs.seed(*seed_record_of(event_id, opening))
        for partition in range(self.log.partitions):
            await self.log.send(key, value, partition=partition)

    async def _append(self, event_id: int, fact: Fact) -> None:
        key = turn_key(event_id, fact)
        partition = self.log.partition_of(key)
        await self.log.send(
            key, self._codecs.changed(*record_of(event_id, fact)), partition=partition
        )
