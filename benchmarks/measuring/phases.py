"""Child processes of a benchmark that tell their phases, one line of JSON each, on the output."""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring.cluster import BenchmarkFailed
from benchmarks.measuring.process import Measured
from infra.stack.processes import tail

POLL_S = 0.02


def parser_of_part(description: str | None) -> argparse.ArgumentParser:
    """Return the options that every such process has; of its text the first line is shown."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--registry", required=True)
    return parser


def tell(phase: str, **more: Any) -> None:
    """Print that a phase is reached, with figures, as `Phased.wait` reads it."""
    print(json.dumps({"phase": phase, **more}), flush=True)


class Phased(Measured):
    """Such a process; killed when the block is left."""

    def __init__(self, what: str, command: Sequence[str], log: Path) -> None:
        super().__init__(what, command, log, {})

    def wait(self, phase: str, timeout_s: float, *others: Measured) -> dict[str, Any]:
        """Return what the process tells at a phase; `others` must live until then."""
        deadline = time.monotonic() + timeout_s
        while True:
            text = self.log_text()
            for line in text.splitlines(keepends=True):
                if line.startswith("{") and line.endswith("\n"):
                    told: dict[str, Any] = json.loads(line)
                    if told["phase"] == phase:
                        return told
            for other in others:
                other.must_live()
            # The output is complete before the process has ended, so look at it once more.
            if not self.is_alive() and text == self.log_text():
                raise BenchmarkFailed(f"{self.what} ended early:\n{tail(text)}")
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"{self.what} did not come to {phase!r}:\n{tail(text)}")
            time.sleep(POLL_S)
