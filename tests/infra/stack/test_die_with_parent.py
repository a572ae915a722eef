"""The wrapper becomes its command, under the same number, and does not outlive its parent."""

import os
import subprocess
import sys
from pathlib import Path

from infra.stack.processes import WRAPPER, ProcessId, wait_until

WRAPPED = [sys.executable, "-I", "-S", str(WRAPPER)]


def started(parent: int, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*WRAPPED, str(parent), *command], check=False, capture_output=True, text=True, timeout=60
    )


def test_the_command_takes_the_place_of_the_wrapper() -> None:
    command = [*WRAPPED, str(os.getpid()), "sh", "-c", "echo $$; exit 7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        told, _ = process.communicate(timeout=60)
    assert int(told) == process.pid
    assert process.returncode == 7


def test_arguments_reach_the_command_as_they_are() -> None:
    assert started(os.getpid(), "printf", "%s|", "a b", "", "$HOME").stdout == "a b||$HOME|"


def test_nothing_is_started_for_a_parent_that_is_gone() -> None:
    # A process whose parent died before it asked belongs to another one already.
    done = started(2**22 + 1, "echo", "started")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_command_that_is_not_there_is_named() -> None:
    done = started(os.getpid(), "no-such-server")
    assert done.returncode != 0
    assert "No such file or directory" in done.stderr


def test_the_command_dies_with_its_parent() -> None:
    script = '"$@" $$ sleep 600 & echo $!; read never'
    with subprocess.Popen(
        ["sh", "-c", script, "sh", *WRAPPED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        child = ProcessId.of(int(parent.stdout.readline()))
        assert child is not None
        # Not before the command runs: a wrapper that has not asked yet starts nothing at all.
        assert wait_until(lambda: name_of(child.pid) == "sleep", 60)
        parent.kill()
        parent.wait()
        assert wait_until(lambda: not child.is_alive(), 60)


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
