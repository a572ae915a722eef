import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from infra.paths import ROOT
from infra.stack import processes
from infra.stack.processes import POLL_MAX_S, Child, ProcessId, stop_all, tail, wait_until

OWNER = """
import sys, threading
from pathlib import Path
from infra.stack.processes import Child
def start():
    print(Child(["sleep", "600"], Path(sys.argv[1]), Path(sys.argv[1]) / "log").pid, flush=True)
if sys.argv[2] == "thread":
    starter = threading.Thread(target=start)
    starter.start()
    starter.join()
else:
    start()
sys.stdin.read()
"""


def own_identity() -> ProcessId:
    identity = ProcessId.of(os.getpid())
    assert identity is not None
    return identity


def test_a_recycled_pid_is_neither_alive_nor_signalled() -> None:
    me = own_identity()
    earlier = ProcessId(me.pid, me.started_ticks - 1)
    assert me.is_alive()
    assert not earlier.is_alive()
    assert not earlier.send(signal.SIGKILL)


def test_a_process_that_ended_has_no_identity() -> None:
    ended = subprocess.Popen(["true"])
    # Not reaped yet: a zombie still has an entry in /proc.
    assert wait_until(lambda: ProcessId.of(ended.pid) is None, 60)
    ended.wait()
    assert ProcessId.of(ended.pid) is None


@pytest.mark.parametrize("where", ["main", "thread"])
def test_a_child_dies_with_its_killed_owner(tmp_path: Path, where: str) -> None:
    """Started from a thread that ended long ago, too: the child must outlive only that."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), where],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        child = ProcessId.of(int(owner.stdout.readline()))
        assert child is not None
        assert child.is_alive()
        owner.kill()
        owner.wait()
        assert wait_until(lambda: not child.is_alive(), 60)


def test_a_child_started_from_a_thread_outlives_the_thread(tmp_path: Path) -> None:
    children: list[Child] = []
    starter = threading.Thread(
        target=lambda: children.append(Child(["sleep", "600"], tmp_path, tmp_path / "log"))
    )
    starter.start()
    starter.join()
    (child,) = children
    assert not wait_until(lambda: not child.is_alive(), 0.3)
    child.kill()


class Clock:
    """A clock that moves by sleeping alone."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, pause_s: float) -> None:
        self.slept_s.append(pause_s)
        self.now_s += pause_s


def test_who_waits_long_looks_seldom_and_is_late_by_a_quarter_second_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(processes, "time", clock)
    assert wait_until(lambda: clock.now_s >= 160, 90)
    assert clock.slept_s == sorted(clock.slept_s)
    assert clock.slept_s[0] <= 0.02
    assert max(clock.slept_s) == POLL_MAX_S
    assert 160 <= clock.now_s <= 160 + POLL_MAX_S
    # Every 20 ms it would have been 3,000 times.
    assert len(clock.slept_s) < 300
    began_s = clock.now_s
    assert not wait_until(lambda: False, 5)
    assert 5 < clock.now_s - began_s <= 5 + POLL_MAX_S


def test_stop_ends_a_paused_child_and_one_that_ignores_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "stubborn.log"
    paused = Child(["sleep", "600"], tmp_path, tmp_path / "paused.log")
    stubborn = Child(
        ["bash", "-c", "trap '' TERM; sleep 600 & echo $!; wait; wait"], tmp_path, log
    )
    paused.signal(signal.SIGSTOP)
    assert wait_until(lambda: stubborn.output().endswith("\n"), 60)
    grandchild = ProcessId.of(int(stubborn.output()))
    assert grandchild is not None
    stop_all([paused, stubborn], timeout_s=0.5)
    assert not paused.is_alive()
    assert not stubborn.is_alive()
    # Nor what it has started: it is killed as a group.
    assert wait_until(lambda: not grandchild.is_alive(), 60)


def test_no_variable_of_ours_configures_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1m")
    monkeypatch.setenv("QUARKUS_HTTP_PORT", "1")
    child = Child(["env"], tmp_path, tmp_path / "log")
    assert child.wait(60) == 0
    assert "JAVA_TOOL_OPTIONS" not in child.output()
    assert "QUARKUS" not in child.output()


def test_i2_no_server_gets_the_locale_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANG", "LC_ALL", "LC_CTYPE", "LANGUAGE"):
        monkeypatch.setenv(name, "tr_TR.ISO-8859-9")
    child = Child(["env"], tmp_path, tmp_path / "log")
    assert child.wait(60) == 0
    of_locale = [line for line in child.output().splitlines() if line.startswith(("L", "_L"))]
    assert of_locale == ["LC_ALL=C.UTF-8"]


def test_only_what_this_start_wrote_is_read_from_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Address already in use, last week\n")
    child = Child(["echo", "fine"], tmp_path, log)
    assert child.wait(60) == 0
    assert child.output() == "fine\n"


def test_tail_of_an_empty_log_says_so() -> None:
    assert tail("") == "    (empty)"
    assert tail("a\nb\nc", 2) == "    b\n    c"
