"""Worker processes of a script: started, killed, paused, watched, and never left behind."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep

from infra.stack.loopback import answers_well
from scripts.brokers.addresses import Servers
from scripts.processes.started import Started, environment_at, metric_at
from streams.runtime.process.fatal import EXIT_CODE as ENDED_ITSELF_CODE

POLL_S = 0.05
# How often one worker may end itself: a machine that is slow for a while stops nobody.
RESTARTS_MAX = 10


class WorkerFailed(Exception):
    """A worker ended, or too often, or did not become ready.

    Operator action: the message ends with the last lines of its log.
    """


class Worker(Started):
    """One `faust -A topology worker`, with stores and log in a directory of its own.

    A SIGKILL of this process takes the worker with it; a restart keeps the stores.
    """

    def __init__(
        self,
        name: str,
        where: Servers,
        directory: Path,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._directory = directory / name
        self._directory.mkdir(parents=True, exist_ok=True)
        environment = environment_at(where) | {
            "SEATSTREAM_DATA_DIR": str(self._directory / "data"),
            "SEATSTREAM_INSTANCE": name,
            **(settings or {}),
        }
        super().__init__(self._directory / "worker.log", environment)

    def start(self) -> None:
        """Start the process, without waiting until it is ready."""
        (self._directory / "data" / "health-port").unlink(missing_ok=True)
        self._start([sys.executable, "-m", "faust", "-A", "topology", "worker", "--without-web"])

    @property
    def stores(self) -> Path:
        """Return the folder of its stores, whether it runs or not."""
        return self._directory / "data" / "stores"

    def is_ready(self) -> bool:
        """Say whether it has restored its stores and takes commands."""
        url = self._health_url()
        return bool(url) and answers_well(f"{url}/ready", timeout_s=1)

    def metric(self, name: str) -> float | None:
        """Return the sum of a metric's samples; None where it does not answer."""
        url = self._health_url()
        return metric_at(url, name) if url else None

    def _health_url(self) -> str:
        """Return where it tells of itself; empty before it does."""
        port_file = self._directory / "data" / "health-port"
        try:
            return f"http://127.0.0.1:{int(port_file.read_text(encoding='utf-8'))}"
        except (OSError, ValueError):
            return ""

    def pause(self) -> None:
        """Freeze it."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)


class Supervisor:
    """Starts workers again that ended themselves, as who runs workers does.

    A worker that did not run for too long, as on a busy machine, must not go on.
    away: names of workers that somebody ended, and will start again.
    """

    def __init__(
        self, workers: Sequence[Worker], say: Callable[[str], None] = lambda _text: None
    ) -> None:
        self.away: set[str] = set()
        self.workers = workers
        self._say = say
        self._restarts: Counter[str] = Counter()

    def revive(self) -> None:
        """Start whoever ended itself; raise WorkerFailed for any other end, and for too many."""
        for worker in self.workers:
            code = None if worker.name in self.away else worker.exit_code()
            if code is None:
                continue
            if code != ENDED_ITSELF_CODE or self._restarts[worker.name] >= RESTARTS_MAX:
                raise WorkerFailed(f"{worker.name} ended with exit code {code}:\n{worker.log()}")
            self._restarts[worker.name] += 1
            self._say(f"{worker.name} ended itself and starts again: {worker.log(1).strip()}")
            worker.start()

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return when all are ready; raises WorkerFailed."""
        end = monotonic() + timeout_s
        for worker in self.workers:
            while not worker.is_ready():
                self.revive()
                if monotonic() > end:
                    raise WorkerFailed(
                        f"{worker.name} is not ready in {timeout_s} s:\n{worker.log()}"
                    )
                sleep(POLL_S)
