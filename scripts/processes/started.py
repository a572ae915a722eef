"""What workers and pods of a script share: a process that may not have been started yet."""

import http.client
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.paths import ROOT
from infra.stack.loopback import OPENER
from infra.stack.processes import Child, child_environment, tail
from scripts.brokers.addresses import Servers

STOP_TIMEOUT_S = 10.0
METRICS_S = 5.0


def environment_at(where: Servers) -> dict[str, str]:
    """Return the environment of a process of ours that speaks with these servers."""
    return child_environment() | {
        "KAFKA_BROKERS": where.brokers,
        "SCHEMA_REGISTRY_URL": where.registry_url,
        "PYTHONPATH": str(ROOT),
    }


def metric_at(url: str, name: str) -> float | None:
    """Return the sum of a metric's samples; None where nobody answers."""
    try:
        with OPENER.open(f"{url}/metrics", timeout=METRICS_S) as answer:
            lines = answer.read().decode().splitlines()
    except (OSError, http.client.HTTPException):
        return None
    wanted = (name + " ", name + "{")
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(wanted))


class Started:
    """A process of ours, with its log; before its start there is nothing to end or to read.

    root: the folder of the release that is started.
    """

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        self._log = log
        self._environment = environment
        self._child: Child | None = None
        self.root = ROOT

    def _start(self, command: Sequence[str]) -> None:
        self._child = Child(command, self.root, self._log, self._environment)

    def set(self, settings: Mapping[str, str]) -> None:
        """Have these settings at the next start; an empty one is not given."""
        told = self._environment | dict(settings)
        self._environment = {name: value for name, value in told.items() if value}

    @property
    def pid(self) -> int:
        """Return the pid of the present process."""
        assert self._child is not None, "not started"
        return self._child.pid

    def exit_code(self) -> int | None:
        """Return None while the process runs, and before its start."""
        return None if self._child is None else self._child.exit_code()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self._child is not None, "not started"
        self._child.kill()

    def terminate(self) -> None:
        """Ask it to end what is under way, and leave; also one that is paused."""
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
