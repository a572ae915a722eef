"""`python -m infra.stack up|down|status`: the persistent stack of this checkout."""

import argparse
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from infra.paths import ROOT
from infra.stack.addresses import MOCK_GATEWAY_CONTROL_URL, PARTS, VARIABLE_BY_PART, configured
from infra.stack.processes import tail, text_from, wait_until
from infra.stack.supervisor import (
    EXIT_ALREADY_RUNNING,
    Home,
    clear_leftovers,
    processes_of,
    read_state,
    running_supervisor,
    supervise,
)

START_TIMEOUT_S: Final = 240.0
STOP_TIMEOUT_S: Final = 40.0
NOT_RUNNING: Final = 3
SUPERVISE: Final = "supervise"


def up(home: Home, brokers: int, *, as_json: bool) -> int:
    """Start what is not configured; return when every part is ready."""
    if set(configured()) == PARTS:
        print("stack: all addresses are configured; nothing to start")
        return 0
    if running_supervisor(home) is not None:
        return _already_running(home, brokers, as_json=as_json)
    home.directory.mkdir(parents=True, exist_ok=True)
    _say("starting", as_json=as_json)
    with home.log.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "infra.stack", SUPERVISE),
                *("--home", str(home.directory), "--brokers", str(brokers)),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(
            lambda: read_state(home) is not None or process.poll() is not None, START_TIMEOUT_S
        )
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        print("stack: interrupted; nothing is left running", file=sys.stderr)
        return 130
    if process.poll() == EXIT_ALREADY_RUNNING:
        return _already_running(home, brokers, as_json=as_json)
    state = read_state(home)
    if state is None:
        process.terminate()
        process.wait()
        print(f"stack: not started.\n{text_from(home.log, 0)}", file=sys.stderr)
        return 1
    _show(home, state, as_json=as_json)
    # The supervisor goes on without us; its Popen must not complain about that.
    process.returncode = 0
    return 0


def _already_running(home: Home, brokers: int, *, as_json: bool) -> int:
    """Wait for the stack that somebody else starts, and show it."""
    wait_until(
        lambda: read_state(home) is not None or running_supervisor(home) is None, START_TIMEOUT_S
    )
    state = read_state(home)
    if state is None:
        print(f"stack: another start failed:\n{tail(text_from(home.log, 0))}", file=sys.stderr)
        return 1
    if state["brokers"] != brokers:
        print(
            f"stack: running with {state['brokers']} broker(s), not {brokers}; "
            "`scripts/stack down` first",
            file=sys.stderr,
        )
        return 1
    _say("already running", as_json=as_json)
    _show(home, state, as_json=as_json)
    return 0


def down(home: Home, *, purge: bool, yes: bool, dry_run: bool) -> int:
    """Stop the stack; its data stays unless purged."""
    supervisor = running_supervisor(home)
    if dry_run:
        print("stack: would stop" if supervisor else "stack: not running")
    elif supervisor is None:
        clear_leftovers(home)
        print("stack: not running")
    else:
        supervisor.send(signal.SIGTERM)
        if not wait_until(lambda: running_supervisor(home) is None, STOP_TIMEOUT_S):
            # The kernel ends the servers with it.
            supervisor.send(signal.SIGKILL)
            wait_until(lambda: running_supervisor(home) is None, STOP_TIMEOUT_S)
            clear_leftovers(home)
        print("stack: stopped")
    return _purge(home, yes=yes, dry_run=dry_run) if purge else 0


def _purge(home: Home, *, yes: bool, dry_run: bool) -> int:
    parts = sorted(home.data.iterdir()) if home.data.is_dir() else []
    for part in parts:
        print(f"stack: {'would delete' if dry_run else 'deletes'} {part} ({_megabytes(part)} MB)")
    if dry_run or not parts:
        return 0
    if not yes:
        if not sys.stdin.isatty():
            print("stack: --purge deletes the data above; say --yes", file=sys.stderr)
            return 1
        if input("Delete all of it? [y/N] ").strip().lower() not in {"y", "yes"}:
            print("stack: nothing deleted")
            return 1
    shutil.rmtree(home.data)
    return 0


def _megabytes(directory: Path) -> int:
    files = (file for file in directory.rglob("*") if file.is_file())
    return sum(file.stat().st_blocks * 512 for file in files) // 1_000_000


def status(home: Home, *, as_json: bool) -> int:
    """Return 0 when every process runs, 1 when one has ended, 3 when there is no stack."""
    state = read_state(home)
    if state is None:
        starting = running_supervisor(home) is not None
        if as_json:
            print(json.dumps({"running": False, "starting": starting}))
        else:
            print("stack: starting" if starting else "stack: not running")
        return NOT_RUNNING
    return _show(home, state, as_json=as_json)


def _show(home: Home, state: dict[str, Any], *, as_json: bool) -> int:
    alive = {name: process.is_alive() for name, process in processes_of(state).items()}
    if as_json:
        print(json.dumps({"running": True, **state, "alive": alive}))
        return 0 if all(alive.values()) else 1
    variables = (*VARIABLE_BY_PART.values(), MOCK_GATEWAY_CONTROL_URL)
    for name in (variable.lower() for variable in variables):
        if name not in state:
            # A part that the version which started this stack did not have.
            continue
        origin = " (configured)" if name.upper() in state["configured"] else ""
        print(f"  {name.upper()}={state[name]}{origin}")
    for name, process in processes_of(state).items():
        print(f"  {name}: {f'pid {process.pid}' if alive[name] else 'ENDED'}")
    print(f"  files: {home.state}, {home.environment}; data and logs: {home.data}")
    return 0 if all(alive.values()) else 1


def _say(text: str, *, as_json: bool) -> None:
    if not as_json:
        print(f"stack: {text}", flush=True)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the command and its options; exits with a usage message otherwise."""
    parser = argparse.ArgumentParser(
        prog="scripts/stack",
        description="Kafka (KRaft), schema registry, Redis and a mock payment gateway on free "
        "loopback ports, as child processes. A part whose address is configured (KAFKA_BROKERS, "
        "SCHEMA_REGISTRY_URL, REDIS_URL, MOCK_GATEWAY_URL) is not started.",
    )
    parser.add_argument("--home", type=Path, default=Home().directory, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|down|status")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--home", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    up_ = commands.add_parser("up", parents=[shared], help="start; returns when all is ready")
    with_brokers = [up_]
    if SUPERVISE in arguments:
        # For `up` only: whoever types a wrong word is not offered it.
        with_brokers.append(commands.add_parser(SUPERVISE, parents=[shared]))
    for command in with_brokers:
        command.add_argument("--brokers", type=int, choices=(1, 3), default=1)
        command.add_argument("--json", action="store_true", help="print the state as JSON")
    down_ = commands.add_parser("down", parents=[shared], help="stop; data is kept")
    down_.add_argument("--purge", action="store_true", help="delete the data too")
    down_.add_argument("--yes", action="store_true", help="do not ask before deleting")
    down_.add_argument("--dry-run", action="store_true", help="only say what would happen")
    status_ = commands.add_parser(
        "status", parents=[shared], help="addresses and processes; exit status 3: not running"
    )
    status_.add_argument("--json", action="store_true", help="print the state as JSON")
    return parser.parse_args(arguments)


def main() -> int:
    """Do what the command line says."""
    arguments = parse(sys.argv[1:])
    # A shell's background job starts with SIGINT ignored; interrupting us must work there too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    home = Home(arguments.home.resolve())
    match arguments.command:
        case "up":
            return up(home, arguments.brokers, as_json=arguments.json)
        case _ if arguments.command == SUPERVISE:
            return supervise(home, arguments.brokers)
        case "down":
            return down(home, purge=arguments.purge, yes=arguments.yes, dry_run=arguments.dry_run)
        case _:
            return status(home, as_json=arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
