"""A worker as a child process."""

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.measuring.cluster import BenchmarkFailed, Cluster
from benchmarks.measuring.process import Measured
from schemas.topics import SECTION_COMMANDS

PORT_FILE = "health-port"

TOPOLOGY = (
    sys.executable,
    "-m",
    "faust",
    "-A",
    "topology",
    "worker",
    "--without-web",
)


class Worker(Measured):
    """One worker process; killed when the block is left.

    data_dir: its stores; kept, so that a later worker can start on them.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], data_dir: Path
    ) -> None:
        self.data_dir = data_dir
        data_dir.mkdir(parents=True, exist_ok=True)
        # A killed worker leaves its port behind.
        self._port_file = data_dir / PORT_FILE
        self._port_file.unlink(missing_ok=True)
        super().__init__("the worker", command, data_dir / "worker.log", environment)

    @classmethod
    def of_topology(
        cls,
        cluster: Cluster,
        app_id: str,
        data_dir: Path,
        *,
        instance: str = "bench-1",
        **settings: str,
    ) -> Self:
        """Start a worker of the topology; of the role `seats`, unless settings say otherwise."""
        environment = {
            "KAFKA_BROKERS": cluster.brokers,
            "SCHEMA_REGISTRY_URL": cluster.registry_url,
            "SEATSTREAM_APP_ID": app_id,
            "SEATSTREAM_ROLES": "seats",
            "SEATSTREAM_INSTANCE": instance,
            "SEATSTREAM_DATA_DIR": str(data_dir),
            **settings,
        }
        return cls(TOPOLOGY, environment, data_dir)

    def port(self) -> int:
        """Return the port of its health server."""
        return int(self._port_file.read_text())

    def wait_ready(self, meanwhile: Callable[[Self], None] = lambda _: None) -> float:
        """Return the seconds from start to `/ready`: restored and consuming."""
        return self.wait_answered("ready", meanwhile)


@dataclass(frozen=True, slots=True)
class Workers:
    """Workers of one group, measured as one."""

    each: Sequence[Worker]

    def must_live(self) -> None:
        """Raise BenchmarkFailed when one of them has ended."""
        for worker in self.each:
            worker.must_live()

    def failed(self, complaint: str) -> BenchmarkFailed:
        """Return what to raise when they live and do not do their work."""
        return self.each[0].failed(complaint)

    def cpu_s(self) -> float:
        """Return the processor time of all."""
        return sum(worker.cpu_s() for worker in self.each)

    def rss_mb(self) -> float:
        """Return the resident memory of all."""
        return sum(worker.rss_mb() for worker in self.each)

    def metrics(self) -> dict[str, float]:
        """Return the sums of their samples."""
        sums: dict[str, float] = defaultdict(float)
        for worker in self.each:
            for name, value in worker.metrics().items():
                sums[name] += value
        return sums

    def share(self) -> bool:
        """Say whether each of them has its part of the partitions and runs it."""
        owned = [worker.metrics().get("seatstream_partitions_owned", 0) for worker in self.each]
        return min(owned) > 0 and sum(owned) == SECTION_COMMANDS.partitions

    def stop(self) -> None:
        """Ask all to stop and wait for that."""
        for worker in self.each:
            worker.end()
        for worker in self.each:
            worker.stop()
