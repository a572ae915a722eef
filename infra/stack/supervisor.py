"""The process behind `scripts/stack up`: owns the servers until it is told to stop.

It holds the lock file while it lives, so "is a stack running" is the kernel's answer, whatever
happened to the files. `stack.json` appears when all parts are ready; it is the one place where
addresses are written, `env` is the same for shells.
"""

import fcntl
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.paths import STACK_HOME
from infra.stack.addresses import PARTS, VARIABLE_BY_PART, configured
from infra.stack.processes import ProcessId, StackError
from infra.stack.running import QUICK_RESTART, Stack

EXIT_ALREADY_RUNNING: Final = 3


@dataclass(frozen=True, slots=True)
class Home:
    """The files of one persistent stack."""

    directory: Path = STACK_HOME

    @property
    def lock(self) -> Path:
        """Return the file whose lock the supervisor holds; its text is pid and start time."""
        return self.directory / "supervisor.lock"

    @property
    def log(self) -> Path:
        """Return where the supervisor says why it could not start."""
        return self.directory / "supervisor.log"

    @property
    def state(self) -> Path:
        """Return the one file with addresses and processes, there while all is ready."""
        return self.directory / "stack.json"

    @property
    def environment(self) -> Path:
        """Return the addresses as NAME=value lines."""
        return self.directory / "env"

    @property
    def data(self) -> Path:
        """Return what outlives a stack."""
        return self.directory / "data"


def running_supervisor(home: Home) -> ProcessId | None:
    """Return the live supervisor; None when nobody holds the lock."""
    try:
        descriptor = os.open(home.lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(ValueError):
            pid, ticks = os.pread(descriptor, 100, 0).split()
            return ProcessId(int(pid), int(ticks))
        # Locked, and not yet written: a supervisor in its first microseconds.
        return ProcessId(0, 0)
    finally:
        os.close(descriptor)
    return None


def read_state(home: Home) -> dict[str, Any] | None:
    """Return the running stack's state, None when there is none or it is not ready yet."""
    owner = running_supervisor(home)
    if owner is None:
        return None
    try:
        state: dict[str, Any] = json.loads(home.state.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return state if _identity(state["supervisor"]) == owner else None


def processes_of(state: Mapping[str, Any]) -> dict[str, ProcessId]:
    """Return the servers' processes by name."""
    return {name: _identity(value) for name, value in state["processes"].items()}


def _identity(value: Mapping[str, int]) -> ProcessId:
    return ProcessId(value["pid"], value["started_ticks"])


@contextmanager
def _lock(home: Home) -> Iterator[bool]:
    """Hold the lock for the block; False when another supervisor does."""
    home.directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        yield False
        return
    try:
        me = ProcessId.of(os.getpid())
        assert me is not None, "we are alive"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{me.pid} {me.started_ticks}".encode(), 0)
        yield True
    finally:
        os.close(descriptor)


def clear_leftovers(home: Home) -> None:
    """Remove the files of a supervisor that was killed; call only while nobody runs.

    Its servers died with it. Should one have survived, it is ended here if pid and start time are
    still those that were written down.
    """
    with suppress(FileNotFoundError, ValueError, KeyError):
        for process in processes_of(json.loads(home.state.read_text(encoding="utf-8"))).values():
            process.send(signal.SIGKILL)
    home.state.unlink(missing_ok=True)
    home.environment.unlink(missing_ok=True)


def supervise(home: Home, brokers: int) -> int:
    """Start the stack, write its state, wait to be told to stop, stop it."""

    def leave(_signal: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with _lock(home) as is_ours:
        if not is_ours:
            return EXIT_ALREADY_RUNNING
        clear_leftovers(home)
        try:
            _run(home, brokers)
        except (StackError, OSError) as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return 1
        finally:
            clear_leftovers(home)
    return 0


def _run(home: Home, brokers: int) -> None:
    external = configured()
    with Stack(home.data, brokers, PARTS, QUICK_RESTART, external=external) as stack:
        me = ProcessId.of(os.getpid())
        assert me is not None, "we are alive"
        variables = stack.addresses.variables()
        state = {
            **{name.lower(): value for name, value in variables.items()},
            "brokers": brokers,
            "supervisor": {"pid": me.pid, "started_ticks": me.started_ticks},
            "configured": sorted(VARIABLE_BY_PART[part] for part in external),
            "processes": {
                name: {"pid": process.pid, "started_ticks": process.started_ticks}
                for name, process in stack.process_ids().items()
            },
        }
        env = "".join(f"{name}={value}\n" for name, value in sorted(variables.items()))
        _write(home.environment, env)
        # Last: who sees it may use everything.
        _write(home.state, json.dumps(state, indent=2) + "\n")
        while True:
            signal.pause()


def _write(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)
