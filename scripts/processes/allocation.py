"""The allocation service as a process of a script: started, asked, and never left behind."""

import sys
from pathlib import Path

from infra.paths import ROOT
from infra.stack.loopback import answers_well
from infra.stack.ports import free_ports
from infra.stack.processes import child_environment
from scripts.processes.started import Started


class AllocationService(Started):
    """One `python -m infra.allocation`, whose books lie in a directory of its own.

    delay_ms: how long after a decision it answers.
    """

    def __init__(self, directory: Path, delay_ms: int = 0) -> None:
        (self._port,) = free_ports(1)
        self._directory = directory
        self._delay_ms = delay_ms
        environment = child_environment() | {"PYTHONPATH": str(ROOT)}
        super().__init__(directory / "allocation.log", environment)

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def books(self) -> Path:
        """Return the folder of its books, for `infra.allocation.books`."""
        return self._directory

    def start(self) -> None:
        """Start the process, without waiting until it answers."""
        self._directory.mkdir(parents=True, exist_ok=True)
        program = (sys.executable, "-m", "infra.allocation", "--directory", str(self._directory))
        self._start([*program, "--port", str(self._port), "--delay-ms", str(self._delay_ms)])

    def is_ready(self) -> bool:
        """Say whether it answers."""
        return answers_well(f"{self.url}/v1/allocations", timeout_s=1)
