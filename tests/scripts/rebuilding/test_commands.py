"""What an operator types to make a topic anew, from the words to the exit code."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.brokers.addresses import NotUp, Servers
from scripts.contracts.topics import Create
from scripts.program.main import run
from scripts.rebuilding import commands
from scripts.rebuilding.comparing import Comparison, Counts, compare
from scripts.rebuilding.one_at_a_time import alone
from scripts.rebuilding.recreating import Anew, Refused

STATE = {"1-A": Counts(1, 1, 0, 0, 0, 1, 1)}
TOLD = {"1-A": {"version": 1, "availableCount": 1, "heldCount": 0, "largestBlock": 1}}
WORDS = ["topics", "recreate", "section-status"]


class World:
    def __init__(self) -> None:
        self.has_registry = True
        self.made: list[str] = []
        self.found: Comparison = compare(STATE, TOLD)
        self.refusals: list[Refused | None] = []
        self.planned = Anew(Create("section-status", 20, 1, {}), is_there=True, holds_up=False)

    def check(self, *_: object) -> None:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal:
            raise refusal

    def asked(self, *, and_registry: bool = False) -> Servers:
        if and_registry and not self.has_registry:
            raise NotUp("no schema registry answers")
        return Servers("localhost:1", "http://localhost:1")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(commands, "servers", made.asked)
    monkeypatch.setattr(commands, "create_of", lambda *_: made.planned)
    monkeypatch.setattr(commands, "check_at_rest", made.check)
    monkeypatch.setattr(commands, "recreate", lambda _, one: made.made.append(one.name))
    monkeypatch.setattr(commands, "compared_in_time", lambda *_: made.found)
    return made


def test_s003_5_a_topic_is_made_anew_and_verified(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.md"
    assert run([*WORDS, "--yes", "--report", str(report)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("delete section-status\ncreate section-status: 20 partitions")
    assert "Verified: nothing is missing" in report.read_text(encoding="utf-8")
    assert world.made == ["section-status"]


def test_a_dry_run_says_the_steps_and_does_none(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*WORDS, "--dry-run", "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["steps"]) == 3
    assert world.made == []


def test_nothing_is_deleted_without_a_yes(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert run(WORDS) == 2
    assert "--yes" in capsys.readouterr().err
    assert world.made == []


def test_nothing_is_deleted_while_commands_wait(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    # Also those that came while the question stood there.
    for before in ([], [None]):
        world.refusals = [*before, Refused("group lags")]
        assert run([*WORDS, "--yes"]) == 2
        assert "group lags" in capsys.readouterr().err
    assert world.made == []


def test_f84_nothing_is_deleted_while_another_is_at_it(
    world: World,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    with alone("section-status", redis_url):
        assert run([*WORDS, "--yes"]) == 2
    assert "somebody is making section-status anew" in capsys.readouterr().err
    assert world.made == []
    assert run([*WORDS, "--yes"]) == 0


def test_f84_what_holds_the_workers_up_is_mended_though_commands_wait(world: World) -> None:
    """Behind a deletion nothing is decided: whoever waits for rest there waits for ever."""
    world.planned = world.planned._replace(is_there=False, holds_up=True)
    world.refusals = [Refused("group lags")] * 2
    assert run([*WORDS, "--yes"]) == 0
    assert world.made == ["section-status"]


@pytest.mark.parametrize("words", [["topics", "verify", "section-status"], [*WORDS, "--yes"]])
def test_what_is_missing_at_the_end_ends_with_1(
    words: list[str], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.found = compare(STATE, {})
    assert run([*words, "--json"]) == 1
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["verified"], told["sums"]["missing"]) == (False, 1)


@pytest.mark.parametrize("topic", ["section-commands", "seats-changelog"])
def test_no_topic_is_deleted_that_nobody_writes_again(
    topic: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["topics", "recreate", topic, "--yes"]) == 2
    assert world.made == []
    assert topic in capsys.readouterr().err


@pytest.mark.parametrize("how", ["--dry-run", "--yes"])
def test_nothing_is_deleted_or_planned_while_the_registry_that_verifies_it_does_not_answer(
    how: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.has_registry = False
    assert run([*WORDS, how]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no schema registry answers" in err
    assert world.made == []
