"""Drives HTTP load with wrk (https://github.com/wg/wrk), and reads what it measured.

One thread and a few connections, each asking again as soon as it has its answer: the load falls
when the server gets slower, so latencies and requests/s belong together and neither is a
promise about an offered rate.
"""

import json
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from benchmarks.measuring.cluster import BenchmarkFailed
from infra.paths import ROOT, RUN
from infra.stack.processes import Child, child_environment, tail

SCRIPTS = Path(__file__).with_name("load")
UNPACKED = RUN / "wrk"
TIMEOUT_S = 5
OVERTIME_S = 30.0

HOW_TO_GET_IT = f"""\
wrk, which drives the load, is neither on the PATH nor in {UNPACKED.relative_to(ROOT)}.
As root on Debian or Ubuntu:  apt-get install wrk
Without root, in the checkout:
  (mkdir -p .run/wrk && cd .run/wrk && apt-get download wrk libluajit-5.1-2 &&
   for package in *.deb; do dpkg -x "$package" .; done)"""

_VERSION = re.compile(r"wrk (\S+)")


class NoGenerator(Exception):
    """There is no load generator on this machine.

    Operator action: the message says how to get it.
    """


@dataclass(frozen=True, slots=True)
class Answers:
    """What one load got.

    statuses: answers by HTTP status; only where the script counts them.
    bad:      answers of status 400 and above, failed connections and answers that never came.
    cpu_s:    processor time of the generator.
    """

    requests: int
    seconds: float
    bytes_received: int
    latency_ms: Mapping[str, float]
    statuses: Mapping[int, int]
    bad: int
    cpu_s: float

    def figures(self, noun: str) -> dict[str, float]:
        """Return requests/s under the name of what was asked for, and the latencies."""
        return {
            f"{noun}_per_s": self.requests / self.seconds,
            **self.latency_ms,
            "bad_answers": float(self.bad),
            "bytes_per_answer": self.bytes_received / max(1, self.requests),
            "load_cpu_percent": self.cpu_s / self.seconds * 100,
        }


class Generator:
    """wrk, where it was found."""

    def __init__(self, program: str, libraries: str = "") -> None:
        self._program = program
        self._environment = child_environment()
        if libraries:
            self._environment["LD_LIBRARY_PATH"] = libraries

    @classmethod
    def found(cls, unpacked: Path = UNPACKED) -> "Generator":
        """Return the one on the PATH, else the unpacked one; raises NoGenerator."""
        program = shutil.which("wrk")
        if program is not None:
            return cls(program)
        inside = unpacked / "usr" / "bin" / "wrk"
        if not inside.exists():
            raise NoGenerator(HOW_TO_GET_IT)
        libraries = {str(file.parent) for file in unpacked.glob("usr/lib/**/libluajit*.so*")}
        return cls(str(inside), ":".join(sorted(libraries)))

    def version(self) -> str:
        """Return its version as it tells it."""
        # It has no option that only tells the version, and no good exit code with this one.
        told = subprocess.run(
            [self._program, "-v"],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        match = _VERSION.search(told.stdout + told.stderr)
        return match[1] if match else "unknown"

    def drive(
        self,
        url: str,
        script: str,
        arguments: Sequence[str],
        *,
        connections: int,
        seconds: float,
        log: Path,
    ) -> Answers:
        """Load a server for some seconds; raises BenchmarkFailed when that does not work.

        script:    name of a file beside this module that makes the requests.
        arguments: for the script.
        seconds:   rounded up to whole ones, which is all that wrk takes.
        """
        whole = max(1, ceil(seconds))
        command = [
            *(self._program, "-t", "1", "-c", str(connections), "-d", f"{whole}s"),
            *("--timeout", f"{TIMEOUT_S}s", "-s", str(SCRIPTS / script), url, "--", *arguments),
        ]
        before_s = _children_cpu_s()
        child = Child(command, ROOT, log, self._environment)
        deadline = time.monotonic() + whole + OVERTIME_S
        try:
            while child.is_alive():
                if time.monotonic() > deadline:
                    raise BenchmarkFailed(f"wrk does not end:\n{tail(child.output())}")
                time.sleep(0.05)
        finally:
            child.kill()
        return answers_in(child.output(), _children_cpu_s() - before_s)


def answers_in(output: str, cpu_s: float) -> Answers:
    """Read the line that our scripts print at the end, behind whatever wrk says itself."""
    lines = [line for line in output.splitlines() if line.startswith('{"requests"')]
    if not lines:
        raise BenchmarkFailed(f"wrk told nothing:\n{tail(output)}")
    told: dict[str, Any] = json.loads(lines[-1])
    if not told["requests"]:
        raise BenchmarkFailed(f"wrk got no answer:\n{tail(output)}")
    return Answers(
        requests=told["requests"],
        seconds=told["duration_us"] / 1e6,
        bytes_received=told["bytes"],
        latency_ms={f"{name}_ms": us / 1e3 for name, us in told["latency_us"].items()},
        statuses={int(status): count for status, count in told["statuses"].items()},
        bad=told["bad"],
        cpu_s=cpu_s,
    )


def _children_cpu_s() -> float:
    """Return the processor time of children that have ended; of all of them, so end one only."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
