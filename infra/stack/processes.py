"""Child processes that never outlive their owner; no other process is ever signalled for one."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

WRAPPER: Final = Path(__file__).with_name("die_with_parent.py")
# A look costs a connection or more, which what is waited for needs itself: the next one comes
# after a tenth of the time that it has lasted.
POLL_S: Final = 0.02
POLL_MAX_S: Final = 0.25
POLL_SHARE: Final = 0.1
START_TIME_FIELD: Final = 19  # of /proc/PID/stat, counted after the parenthesised name


class StackError(Exception):
    """A part of the stack did not start or stop.

    Operator action: the message ends with the part's last log lines and what to try.
    """


class PortTakenError(StackError):
    """Another process bound the port after we had chosen it and before our server did."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid together with its start time (kernel ticks since boot): a recycled pid differs."""

    pid: int
    started_ticks: int

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """Return the identity of a live process, or None."""
        with suppress(OSError):
            # The name may contain blanks and parentheses; what follows the last one does not.
            fields = (
                Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            )
            if fields[0] not in {"Z", "X"}:
                return cls(pid, int(fields[START_TIME_FIELD]))
        return None

    def is_alive(self) -> bool:
        """Tell whether this very process, not another with its number, is running."""
        return ProcessId.of(self.pid) == self

    def send(self, signal_number: int) -> bool:
        """Signal the process if it is still this one; False if it is gone."""
        if not self.is_alive():
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal_number)
            return True
        return False


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Return True soon after the condition holds, False after `timeout_s`."""
    began_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began_s
        if waited_s > timeout_s:
            return False
        time.sleep(min(max(POLL_S, POLL_SHARE * waited_s), POLL_MAX_S))
    return True


@cache
def _starter() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="stack-starter")


def _spawn(start: Callable[[], "subprocess.Popen[bytes]"]) -> "subprocess.Popen[bytes]":
    """Start from a thread that lives as long as the process.

    The kernel sends the parent-death signal when the *thread* that forked ends.
    """
    if threading.current_thread() is threading.main_thread():
        return start()
    return _starter().submit(start).result()


def child_environment() -> dict[str, str]:
    """Return the few variables servers get: none may configure them behind our back.

    The locale is always the same: no rule may depend on the language of a machine, and Java could
    not open a file of ours whose path has letters that a locale does not know.
    """
    wanted = ("PATH", "HOME", "TZ")
    inherited = {name: os.environ[name] for name in wanted if name in os.environ}
    return {**inherited, "LC_ALL": "C.UTF-8"}


class Child:
    """A server process in its own session, killed by the kernel when we die."""

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        # Logs are appended to; readiness and port errors are looked for behind this point only.
        self.log_start_bytes = log.stat().st_size if log.exists() else 0
        wrapped = [sys.executable, "-I", "-S", str(WRAPPER), str(os.getpid()), *command]
        child_env = dict(child_environment() if environment is None else environment)

        def start() -> "subprocess.Popen[bytes]":
            with log.open("ab") as output:
                return subprocess.Popen(
                    wrapped,
                    cwd=directory,
                    env=child_env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    # A Ctrl-C at the terminal is ours to handle: servers are stopped in order.
                    start_new_session=True,
                )

        self._process = _spawn(start)
        self.identity = ProcessId.of(self._process.pid)

    @property
    def pid(self) -> int:
        """Return the server's pid; the wrapper has become the server."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return None while the process runs."""
        return self._process.poll()

    def is_alive(self) -> bool:
        """Tell whether the process has not ended."""
        return self.exit_code() is None

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens when the process has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the process at once, paused or not, with whatever it has started, and reap it."""
        if self.is_alive():
            # Not reaped yet, so the number of its group, which is its own, can be nobody else's.
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def finish(self, timeout_s: float) -> None:
        """Wait for a process that was asked to stop; kill it after `timeout_s`."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def wait(self, timeout_s: float) -> int:
        """Return the exit code of a process that ends by itself; TimeoutExpired otherwise."""
        return self._process.wait(timeout_s)

    def output(self) -> str:
        """Return what the process wrote to its log."""
        return text_from(self.log, self.log_start_bytes)


def wait_until_ready(
    child: Child,
    is_ready: Callable[[], bool],
    timeout_s: float,
    *,
    name: str,
    port: int,
    advice: str = "",
) -> None:
    """Return when a server is ready; one that died, or is not ready in time, is ended.

    Then raises PortTakenError where its log says that a port was taken, StackError where not.
    name, advice: for the message, which has the last lines of the log between them.
    """
    in_time = wait_until(lambda: is_ready() or not child.is_alive(), timeout_s)
    if in_time and child.is_alive():
        return
    log = child.output()
    child.kill()
    # As servers in C, Python and Java say it.
    if "already in use" in log or "BindException" in log:
        raise PortTakenError(f"{name}: port {port} was taken meanwhile")
    raise StackError(
        f"{name} did not start. Last lines of {child.log}:\n{tail(log)}"
        + (advice and f"\n{advice}")
    )


def text_from(file: Path, start_bytes: int) -> str:
    """Return a log's text behind a position; empty when there is no log yet."""
    try:
        with file.open("rb") as log:
            log.seek(start_bytes)
            return log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def tail(text: str, lines: int = 15) -> str:
    """Return the last lines, indented for an error message."""
    return "\n".join("    " + line for line in text.splitlines()[-lines:]) or "    (empty)"


def stop_all(children: Sequence[Child], timeout_s: float) -> None:
    """Ask every child to stop, then wait for all of them; SIGKILL to those still there."""
    for child in children:
        # A paused process would see SIGTERM only when it runs again.
        child.signal(signal.SIGTERM)
        child.signal(signal.SIGCONT)
    deadline_s = time.monotonic() + timeout_s
    for child in children:
        child.finish(max(0.0, deadline_s - time.monotonic()))
