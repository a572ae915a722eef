"""What an operator types to move a group, from the words to the exit code."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import Rest
from scripts.brokers.lost_commands import Refused
from scripts.offsets import commands
from scripts.offsets.plan import At, Move
from scripts.program.main import run

TOPIC = "section-commands"


class World:
    def __init__(self) -> None:
        self.at = {(TOPIC, 0): At(50, "w1"), (TOPIC, 1): At(90, "w2")}
        self.moved: list[Move] = []
        self.members = 0
        self.fenced: list[str] = []
        self.meanwhile: list[dict[tuple[str, int], At]] = []

    async def committed(self, *_: object) -> dict[tuple[str, int], At]:
        if self.members:
            raise Refused(f"the group has {self.members} members: stop all workers")
        found = dict(self.at)
        if self.meanwhile:
            self.at |= self.meanwhile.pop(0)
        return found

    async def fence(self, _: object, owners: Iterable[str]) -> None:
        self.fenced += owners

    async def move(self, _: object, moved: list[Move], *__: object) -> None:
        self.moved += moved
        self.at |= {move.place: At(move.to, move.owner) for move in moved}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(commands, "servers", lambda: Servers("localhost:1", "http://localhost:1"))
    monkeypatch.setattr(commands, "committed_at_rest", made.committed)
    monkeypatch.setattr(commands, "move_group", made.move)
    monkeypatch.setattr(commands, "fence_owners", made.fence)
    monkeypatch.setattr(commands, "spans_of", lambda *_: {0: (10, 90), 1: (0, 90)})
    return made


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_group_is_moved_back_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["offsets", "set", TOPIC, "--to", "first", "--json", "--yes"]
    assert run(words) == 0
    assert told(capsys)["moved"] == 2
    assert run(words) == 0
    assert told(capsys)["moved"] == 0
    assert [move.to for move in world.moved] == [10, 0]
    # One that only sleeps would commit its own offsets when it wakes.
    assert world.fenced == ["w1", "w2"]


def test_a_dry_run_moves_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["offsets", "set", TOPIC, "--partition", "0", "--to", "20", "--dry-run"]) == 1
    assert "30 offsets are read again" in capsys.readouterr().out
    assert world.moved == []


def test_what_nobody_decided_is_given_up_only_by_saying_so(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["offsets", "set", TOPIC, "--partition", "0", "--to", "60", "--yes"]
    assert run(words) == 2
    assert "10 offsets would be given up" in capsys.readouterr().err
    assert world.moved == []
    assert run([*words, "--give-up"]) == 0
    assert [move.gives_up for move in world.moved] == [10]


@pytest.mark.parametrize("words", [["--yes"], ["--dry-run"]])
def test_p5_a_group_with_members_is_not_moved(
    words: list[str], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.members = 2
    assert run(["offsets", "set", TOPIC, "--to", "first", *words]) == 2
    assert "stop all workers" in capsys.readouterr().err


def test_p5_a_group_that_moved_while_it_was_asked_about_is_not_moved_back(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Workers came, decided and went; the owner that is named would be the one before them."""
    world.meanwhile = [{(TOPIC, 0): At(70, "w9")}]
    assert run(["offsets", "set", TOPIC, "--to", "20", "--yes"]) == 2
    assert "moved since" in capsys.readouterr().err
    assert world.moved == []


def test_where_the_group_stands_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Rest({(TOPIC, 0): 50}, {}, {(TOPIC, 0): (50, 90)})
    monkeypatch.setattr(commands, "rest", lambda *_: found)
    assert run(["offsets", "show", TOPIC, "--json"]) == 1
    first, second = told(capsys)["partitions"]
    assert (first["committed"], first["waits"]) == (50, True)
    assert (second["committed"], second["waits"]) == (None, False)
    assert run(["offsets", "show", TOPIC]) == 1
    shown = capsys.readouterr().out
    assert "partition 0: committed 50, offsets 10 to 90: records wait to be decided" in shown
    assert "partition 1: nothing committed, offsets 0 to 90: all is decided" in shown
    monkeypatch.setattr(commands, "rest", lambda *_: Rest({}, {}, {}))
    assert run(["offsets", "show", TOPIC]) == 0


@pytest.mark.parametrize("words", [["--to", "frob"], ["--to", "0", "--partition", "9"]])
def test_a_wrong_argument_is_told_whoever_is_a_member(
    words: list[str], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.members = 2
    assert run(["offsets", "set", TOPIC, *words]) == 2
    said = capsys.readouterr().err
    assert ("frob" in said) or ("partition 9" in said)
    assert "members" not in said
