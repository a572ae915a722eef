"""The command tells what runs, starts nothing twice and deletes nothing that was not asked for."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.paths import ROOT
from infra.stack.__main__ import NOT_RUNNING, down, parse, status, up
from infra.stack.addresses import VARIABLE_BY_PART
from infra.stack.processes import ProcessId
from infra.stack.supervisor import Home, running_supervisor


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for variable in VARIABLE_BY_PART.values():
        monkeypatch.delenv(variable, raising=False)
    return Home(tmp_path / "the stack")


def me() -> dict[str, int]:
    identity = ProcessId.of(os.getpid())
    assert identity is not None
    return {"pid": identity.pid, "started_ticks": identity.started_ticks}


@contextmanager
def supervised(home: Home, processes: dict[str, Any] | None = None) -> Iterator[None]:
    """Be the supervisor of a stack until the block ends; without processes, one that starts."""
    home.directory.mkdir(parents=True)
    with home.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("{pid} {started_ticks}".format(**me()))
        lock.flush()
        if processes is not None:
            state = {"kafka_brokers": "127.0.0.1:1", "schema_registry_url": "http://127.0.0.1:2"}
            state |= {"redis_url": "redis://10.0.0.1/0"}
            told: dict[str, Any] = {"brokers": 1, "supervisor": me(), "configured": ["REDIS_URL"]}
            home.state.write_text(json.dumps(state | told | {"processes": processes}))
        yield


def gone() -> dict[str, int]:
    """Return a process whose number was given to another one."""
    return me() | {"started_ticks": me()["started_ticks"] - 1}


@pytest.mark.parametrize("words", [[], ["start"], ["up", "--brokers", "2"], ["down", "--json"]])
def test_what_is_no_command_is_refused(words: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "usage: scripts/stack" in told
    assert "supervise" not in told


@pytest.mark.parametrize("words", [["--home", "/x", "status"], ["status", "--home", "/x"]])
def test_a_home_may_stand_before_or_behind_the_command(words: list[str]) -> None:
    assert parse(words).home == Path("/x")
    assert parse(["status"]).home == Home().directory


def test_the_program_ends_with_the_code_of_its_command(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.stack", "status", "--home", str(home.directory)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (NOT_RUNNING, "stack: not running\n")


def test_a_stack_that_is_not_there_is_told_from_one_that_starts(home: Home, capsys: Any) -> None:
    assert status(home, as_json=True) == NOT_RUNNING
    assert json.loads(capsys.readouterr().out) == {"running": False, "starting": False}
    with supervised(home):
        assert status(home, as_json=True) == NOT_RUNNING
        assert json.loads(capsys.readouterr().out) == {"running": False, "starting": True}
        assert status(home, as_json=False) == NOT_RUNNING
        assert capsys.readouterr().out == "stack: starting\n"


def test_a_running_stack_is_shown_with_its_addresses(home: Home, capsys: Any) -> None:
    with supervised(home, {"broker-1": me()}):
        assert status(home, as_json=False) == 0
        shown = capsys.readouterr().out
        assert "  KAFKA_BROKERS=127.0.0.1:1\n" in shown
        assert "  REDIS_URL=redis://10.0.0.1/0 (configured)\n" in shown
        assert f"  broker-1: pid {os.getpid()}\n" in shown
    assert status(home, as_json=False) == NOT_RUNNING


def test_a_server_that_ended_is_told_though_its_number_is_used_again(
    home: Home, capsys: Any
) -> None:
    with supervised(home, {"broker-1": me(), "redis": gone()}):
        assert status(home, as_json=False) == 1
        assert "  redis: ENDED\n" in capsys.readouterr().out
        assert status(home, as_json=True) == 1
        assert json.loads(capsys.readouterr().out)["alive"] == {"broker-1": True, "redis": False}


def test_a_second_start_shows_the_stack_that_runs(home: Home, capsys: Any) -> None:
    with supervised(home, {"broker-1": me()}):
        assert up(home, 1, as_json=False) == 0
        assert capsys.readouterr().out.startswith("stack: already running\n")
        assert up(home, 1, as_json=True) == 0
        assert json.loads(capsys.readouterr().out)["running"] is True


def test_a_stack_of_another_size_is_not_taken_for_the_one_asked_for(
    home: Home, capsys: Any
) -> None:
    with supervised(home, {"broker-1": me()}):
        assert up(home, 3, as_json=False) == 1
    assert "running with 1 broker(s), not 3; `scripts/stack down` first" in capsys.readouterr().err


def test_nothing_is_started_when_everything_is_configured(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for variable in VARIABLE_BY_PART.values():
        monkeypatch.setenv(variable, "127.0.0.1:9")
    assert up(home, 1, as_json=False) == 0
    assert "nothing to start" in capsys.readouterr().out
    assert running_supervisor(home) is None
    assert not home.directory.exists()


def test_down_with_nothing_running_is_fine_and_clears_what_was_left(
    home: Home, capsys: Any
) -> None:
    home.directory.mkdir()
    home.state.write_text(json.dumps({"supervisor": gone(), "processes": {"redis": gone()}}))
    assert down(home, purge=False, yes=False, dry_run=False) == 0
    assert capsys.readouterr().out == "stack: not running\n"
    assert not home.state.exists()


def test_a_dry_run_stops_nothing(home: Home, capsys: Any) -> None:
    with supervised(home, {"broker-1": me()}):
        assert down(home, purge=False, yes=False, dry_run=True) == 0
        assert capsys.readouterr().out == "stack: would stop\n"
        assert running_supervisor(home) is not None


@pytest.fixture
def kept(home: Home) -> Path:
    """Give a file of data of a stack that does not run."""
    file = home.data / "redis" / "seats"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 2_000_000)
    return file


def test_a_dry_purge_names_what_it_would_delete_and_how_large_it_is(
    home: Home, kept: Path, capsys: Any
) -> None:
    assert down(home, purge=True, yes=True, dry_run=True) == 0
    assert f"stack: would delete {home.data / 'redis'} (2 MB)\n" in capsys.readouterr().out
    assert kept.exists()


def test_data_are_kept_unless_somebody_says_yes(
    home: Home, kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        assert down(home, purge=True, yes=False, dry_run=False) == 1
    assert "say --yes" in capsys.readouterr().err
    assert kept.exists()
    assert down(home, purge=True, yes=True, dry_run=False) == 0
    assert not home.data.exists()
    # There is nothing left that anybody would have to confirm.
    assert down(home, purge=True, yes=False, dry_run=False) == 0
