"""A part of the system as a child process that is measured: alive, processor time, memory."""

import http.client
import signal
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from benchmarks.measuring.cluster import BenchmarkFailed
from infra.paths import ROOT
from infra.stack.loopback import OPENER
from infra.stack.processes import Child, child_environment, tail

STOP_TIMEOUT_S = 30.0
READY_TIMEOUT_S = 180.0
POLL_S = 0.02


class Measured:
    """One process with pages about itself; killed when the block is left.

    what: its name in complaints, such as "the worker".
    """

    def __init__(
        self, what: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.what = what
        self.started_s = time.monotonic()
        self._child = Child(command, ROOT, log, {**child_environment(), **environment})
        self._process = psutil.Process(self._child.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def is_alive(self) -> bool:
        """Tell whether the process has not ended."""
        return self._child.is_alive()

    def must_live(self) -> None:
        """Raise BenchmarkFailed with the end of the log when the process has ended."""
        code = self._child.exit_code()
        if code is not None:
            raise BenchmarkFailed(f"{self.what} ended with {code}:\n{tail(self._child.output())}")

    def log_text(self) -> str:
        """Return what it has logged."""
        return self._child.output()

    def failed(self, complaint: str) -> BenchmarkFailed:
        """Return what to raise when the process lives and does not do its work."""
        return BenchmarkFailed(f"{complaint}:\n{tail(self._child.output())}")

    def cpu_s(self) -> float:
        """Return the processor time of all its threads."""
        times = self._process.cpu_times()
        return times.user + times.system

    def rss_mb(self) -> float:
        """Return its resident memory."""
        return self._process.memory_info().rss / 2**20

    def wait_answered(
        self, page: str, meanwhile: Callable[[Self], None] = lambda _: None
    ) -> float:
        """Return the seconds from start to the first good answer of a page.

        meanwhile: called again and again until then.
        """
        deadline = self.started_s + READY_TIMEOUT_S
        while self.page(page) is None:
            self.must_live()
            if time.monotonic() > deadline:
                raise self.failed(f"{self.what} is not ready")
            meanwhile(self)
            time.sleep(POLL_S)
        return time.monotonic() - self.started_s

    def metrics(self) -> dict[str, float]:
        """Return samples by name and labels, as written; empty while there are none."""
        return samples(self.page("metrics") or "")

    def port(self) -> int:
        """Return where its pages are, on loopback; raises OSError or ValueError until known."""
        raise NotImplementedError

    def page(self, name: str) -> str | None:
        """Return the text of a page that was answered well, else None."""
        try:
            with OPENER.open(f"http://127.0.0.1:{self.port()}/{name}", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as refused:
            refused.close()
            return None
        except (OSError, ValueError, http.client.HTTPException):
            return None

    def end(self) -> None:
        """Ask it to stop; return at once."""
        self._child.signal(signal.SIGTERM)

    def stop(self) -> None:
        """Ask it to stop and wait for that."""
        self.end()
        self._child.finish(STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()


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
