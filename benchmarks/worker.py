"""A worker as a child process."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from benchmarks.cluster import Cluster
from benchmarks.process import Measured

PORT_FILE = "health-port"

TOPOLOGY = (
    sys.executable,
    "-m",
    "faust",
    "-A",
    "topology",
    "worker",
    "--without-web",
    "-l",
    "warn",
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
        cls, cluster: Cluster, app_id: str, data_dir: Path, *, instance: str = "bench-1"
    ) -> Self:
        """Start a worker of the seats' topology."""
        environment = {
            "KAFKA_BROKERS": cluster.brokers,
            "SCHEMA_REGISTRY_URL": cluster.registry_url,
            "SEATSTREAM_APP_ID": app_id,
            "SEATSTREAM_INSTANCE": instance,
            "SEATSTREAM_DATA_DIR": str(data_dir),
        }
        return cls(TOPOLOGY, environment, data_dir)

    def port(self) -> int:
        """Return the port of its health server."""
        return int(self._port_file.read_text())

    def wait_ready(self, meanwhile: Callable[[Self], None] = lambda _: None) -> float:
        """Return the seconds from start to `/ready`: restored and consuming."""
        return self.wait_answered("ready", meanwhile)
