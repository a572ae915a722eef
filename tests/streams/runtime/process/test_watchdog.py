"""R17: a process that was paused for too long ends before it does anything else."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from infra.paths import ROOT
from infra.stack.processes import wait_until
from streams.runtime.process.fatal import EXIT_CODE

# Works in small steps, as a worker does, or in one that never lets the loop run.
WORKER = """
import asyncio, sys, time
from streams.runtime.process.watchdog import Watchdog

async def main(limit_s, work_s, step_s):
    watchdog = Watchdog(limit_s)
    watching = asyncio.create_task(watchdog.run())
    await asyncio.sleep(0.05)
    print("up", flush=True)
    end_s = time.process_time() + work_s
    while time.process_time() < end_s:
        step_end_s = time.process_time() + step_s
        while time.process_time() < step_end_s:
            pass
        watchdog.check()
        await asyncio.sleep(0)
    watching.cancel()

asyncio.run(main(*map(float, sys.argv[1:])))
"""


def working(
    limit_s: float, work_s: float, step_s: float = 0.01
) -> Iterator[subprocess.Popen[str]]:
    """Start a process that uses a processor for a while, in steps; all in seconds."""
    command = [sys.executable, "-c", WORKER, *map(str, (limit_s, work_s, step_s))]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        try:
            yield process
        finally:
            process.kill()


def pause(process: subprocess.Popen[str], pause_s: float) -> None:
    process.send_signal(signal.SIGSTOP)
    end_s = time.monotonic() + pause_s
    wait_until(lambda: time.monotonic() > end_s, 2 * pause_s)
    process.send_signal(signal.SIGCONT)


def test_r17_a_pause_beyond_the_limit_ends_the_process_with_a_reason() -> None:
    for process in working(limit_s=0.8, work_s=0.5):
        pause(process, 1.2)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == EXIT_CODE
        away_s = re.search(r"worker ends: this process did not run for (\d+\.\d) s", errors)
        assert away_s is not None, errors
        assert float(away_s[1]) >= 1.2
        assert "more than 0.8 s" in errors


@pytest.mark.parametrize("limit_s", [30.0, 0.0])
def test_a_short_pause_or_no_limit_ends_nothing(limit_s: float) -> None:
    for process in working(limit_s, work_s=0.3):
        pause(process, 0.3)
        assert process.wait(60) == 0


def test_a_busy_loop_is_not_a_pause() -> None:
    for process in working(limit_s=0.8, work_s=1.0, step_s=1.0):
        assert process.wait(60) == 0
