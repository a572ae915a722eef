"""A pod's connection to Redis for benchmarks: one late answer does not end a run of minutes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from state.redis.line import NoAnswer, RedisLine

PAUSE_S = 0.1


class PatientLine:
    """Asks again what nobody answered in time; a pod goes on without it.

    Every script of ours may be sent twice. unanswered: how often that was; 0 on a quiet machine.
    """

    def __init__(self, line: RedisLine) -> None:
        self._line = line
        self.unanswered = 0

    async def ask(self, *command: Any) -> Any:
        """Return the answer; raises as the line, but for NoAnswer."""
        while True:
            try:
                return await self._line.ask(*command)
            except NoAnswer:
                self.unanswered += 1
                await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def patient_line(url: str) -> AsyncIterator[PatientLine]:
    """Give a line to a Redis, and close it."""
    line = RedisLine(url, "the benchmark asks again")
    try:
        yield PatientLine(line)
    finally:
        await line.close()
