"""A worker as a child process: started, asked for its metrics, measured, stopped or killed."""

import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from benchmarks.cluster import BenchmarkFailed, Cluster
from infra.paths import ROOT
from infra.stack.processes import Child, child_environment, tail

POLL_S = 0.02
READY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0
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

# A proxy of the environment must not get our loopback requests.
_LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Worker:
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
        self.started_s = time.monotonic()
        self._child = Child(
            command, ROOT, data_dir / "worker.log", {**child_environment(), **environment}
        )
        self._process = psutil.Process(self._child.pid)

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def must_live(self) -> None:
        """Raise BenchmarkFailed with the end of the log when the process has ended."""
        code = self._child.exit_code()
        if code is not None:
            raise BenchmarkFailed(f"the worker ended with {code}:\n{tail(self._child.output())}")

    def log_text(self) -> str:
        """Return what it has logged."""
        return self._child.output()

    def failed(self, complaint: str) -> BenchmarkFailed:
        """Return what to raise when the worker lives and does not do its work."""
        return BenchmarkFailed(f"{complaint}:\n{tail(self._child.output())}")

    def cpu_s(self) -> float:
        """Return the processor time of all its threads."""
        times = self._process.cpu_times()
        return times.user + times.system

    def rss_mb(self) -> float:
        """Return its resident memory."""
        return self._process.memory_info().rss / 2**20

    def wait_ready(self, meanwhile: Callable[[Self], None] = lambda _: None) -> float:
        """Return the seconds from start to `/ready`: restored and consuming.

        meanwhile: called again and again until then.
        """
        deadline = self.started_s + READY_TIMEOUT_S
        while self._page("ready") is None:
            self.must_live()
            if time.monotonic() > deadline:
                raise self.failed("the worker is not ready")
            meanwhile(self)
            time.sleep(POLL_S)
        return time.monotonic() - self.started_s

    def metrics(self) -> dict[str, float]:
        """Return samples by name and labels, as written; empty while there are none."""
        return samples(self._page("metrics") or "")

    def stop(self) -> None:
        """Ask it to stop and wait for that."""
        self._child.signal(signal.SIGTERM)
        self._child.finish(STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()

    def _page(self, name: str) -> str | None:
        try:
            port = int(self._port_file.read_text())
            with _LOOPBACK.open(f"http://127.0.0.1:{port}/{name}", timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError, ValueError):
            return None


def samples(text: str) -> dict[str, float]:
    """Read Prometheus' text format: `name{labels}` -> value."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def labelled(metrics: Mapping[str, float], name: str) -> dict[str, float]:
    """Return the samples of one metric by the value of its only label."""
    return {
        key[len(name) :].partition('"')[2].rpartition('"')[0]: value
        for key, value in metrics.items()
        if key.startswith(name + "{")
    }
