"""Worker processes of a script: started, killed, paused, watched, and never left behind."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep

from infra.paths import ROOT
from infra.stack.loopback import answers_well
from infra.stack.processes import Child, child_environment, tail
from scripts.brokers.addresses import Servers

POLL_S = 0.05
STOP_TIMEOUT_S = 10.0


class WorkerFailed(Exception):
    """A worker ended, or did not become ready.

    Operator action: the message ends with the last lines of its log.
    """


class Worker:
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
        self._environment = child_environment() | {
            "KAFKA_BROKERS": where.brokers,
            "SCHEMA_REGISTRY_URL": where.registry_url,
            "SEATSTREAM_DATA_DIR": str(self._directory / "data"),
            "SEATSTREAM_INSTANCE": name,
            "PYTHONPATH": str(ROOT),
            **(settings or {}),
        }
        self._child: Child | None = None

    def start(self) -> None:
        """Start the process, without waiting until it is ready."""
        (self._directory / "data" / "health-port").unlink(missing_ok=True)
        command = [sys.executable, "-m", "faust", "-A", "topology", "worker", "--without-web"]
        log = self._directory / "worker.log"
        self._child = Child(command, ROOT, log, self._environment)

    @property
    def stores(self) -> Path:
        """Return the folder of its stores, whether it runs or not."""
        return self._directory / "data" / "stores"

    @property
    def pid(self) -> int:
        """Return the pid of the present process."""
        assert self._child is not None, "not started"
        return self._child.pid

    def exit_code(self) -> int | None:
        """Return None while the process runs."""
        assert self._child is not None, "not started"
        return self._child.exit_code()

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

    def terminate(self) -> None:
        """Ask it to finish its transaction and leave; paused or not."""
        if self._child is not None and self._child.is_alive():
            self._child.signal(signal.SIGTERM)
            self._child.signal(signal.SIGCONT)

    def finish(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Wait until it has left; kill it after `timeout_s`."""
        if self._child is not None:
            self._child.finish(timeout_s)

    def log(self, lines: int = 25) -> str:
        """Return the last lines of its log."""
        return tail(self._child.output(), lines) if self._child is not None else ""
