"""A soak runs nothing where its demo would refuse to."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.paths import ROOT
from infra.stack.processes import child_environment, wait_until
from scripts.demo_soak import options_of


@pytest.mark.programs
def test_a_soak_of_demos_that_the_demo_does_not_understand_runs_none() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo_soak", "--nonsense"],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "seed" not in done.stdout


@pytest.mark.parametrize(
    ("rest", "options"),
    [
        ([], ["--full"]),
        (["--faults"], ["--faults", "--full"]),
        (["--seats", "5000"], ["--seats", "5000"]),
        (["--full", "--rebuild"], ["--full", "--rebuild"]),
        (["--waiting-room"], ["--waiting-room"]),
    ],
)
def test_a_soak_sells_the_whole_arena_unless_another_size_is_asked_for(
    rest: list[str], options: list[str]
) -> None:
    assert options_of(rest) == options


@pytest.mark.programs
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_soak_that_is_stopped_leaves_no_demo_and_no_loop_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = ["env", "--default-signal=INT", sys.executable, "-m", "scripts.demo_soak"]
    soak = subprocess.Popen(
        [*command, "--runs", "1", "--busy", "1", "--seats", "500", "--logs", str(tmp_path)],
        cwd=ROOT,
        env=child_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    started: list[psutil.Process] = []

    def has_servers() -> bool:
        started[:] = psutil.Process(soak.pid).children(recursive=True)
        return len(started) > 3 or soak.poll() is not None

    try:
        assert wait_until(has_servers, 60)
        assert soak.poll() is None
        soak.send_signal(number)
        assert soak.wait(60) != 0
    finally:
        soak.kill()
    assert wait_until(lambda: not any(one.is_running() for one in started), 60)
