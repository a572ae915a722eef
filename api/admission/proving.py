"""Proves that a Redis that was started again knows all that users were told.

It may have come back with an older file, or be another server after a failover: then users wait
whose turn has let them in already. So each room remembers of which start of which server it was
proved, the script that lets people in refuses on another, and waiting-turns mends the line.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from state.domain.waiting.line import line_of
from state.kafka.told_turns import Told
from state.redis.waiting.rooms import WaitingRooms


class ReadTold(Protocol):
    """Reads what was told of turns: `ToldTurns`."""

    def read(self, events: list[int]) -> Mapping[int, Told]: ...


class LineProver:
    """Mends lines.

    told: where it was written down what users were told; None for nowhere, and then what Redis
    knows is all there is.
    """

    def __init__(self, told: ReadTold | None) -> None:
        self._told = told

    async def prove(self, rooms: WaitingRooms, lives: Mapping[int, str]) -> None:
        """Mend the lines of events, by the lives of their servers; safe to repeat.

        A server that is started again meanwhile is not proved. Raises as `rooms`, and NotRead.
        """
        told: Mapping[int, Told] = {}
        if self._told is not None:
            told = await asyncio.to_thread(self._told.read, list(lives))
        for event, life in lives.items():
            one = told.get(event) or Told()
            await rooms.restore_all(event, line_of(one.facts), one.opening, life)
