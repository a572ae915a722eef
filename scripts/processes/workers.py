"""Worker processes of a script: started, killed, paused, watched, and never left behind."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep

from infra.stack.loopback import answers_well
from scripts.brokers.addresses import Servers
from scripts.processes.started import Started, environment_at

POLL_S = 0.05


class WorkerFailed(Exception):
    """A worker ended, or did not become ready.

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

    @property
    def pid(self) -> int:
        """Return the pid of the present process."""
        assert self._child is not None, "not started"
        return self._child.pid

    def is_ready(self) -> bool:
        """Say whether it has restored its stores and takes commands."""
        port_file = self._directory / "data" / "health-port"
        try:
            port = int(port_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return answers_well(f"http://127.0.0.1:{port}/ready", timeout_s=1)

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return when it is ready; raises WorkerFailed."""
        end = monotonic() + timeout_s
        while not self.is_ready():
            if self.exit_code() is not None:
                raise WorkerFailed(f"{self.name} ended with {self.exit_code()}:\n{self.log()}")
            if monotonic() > end:
                raise WorkerFailed(f"{self.name} is not ready in {timeout_s} s:\n{self.log()}")
            sleep(POLL_S)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self._child is not None, "not started"
        self._child.kill()

    def pause(self) -> None:
        """Freeze it."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)
