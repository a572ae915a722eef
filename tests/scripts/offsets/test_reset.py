"""What an operator types to have a state made anew, from the words to the exit code."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import Topic
from scripts.brokers.addresses import Servers
from scripts.brokers.lost_commands import Refused
from scripts.contracts.topics import Create, Existing
from scripts.offsets import reset
from scripts.offsets.plan import NOWHERE, At, Impossible, Move
from scripts.program.main import run

COMMANDS, CHANGELOG = "section-commands", "seats-changelog"
WORDS = ["reset", "--role", "seats"]


class World:
    """done: what was changed, in order."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.topics = {COMMANDS: Existing(2, 3, {}), CHANGELOG: Existing(2, 2, {})}
        self.spans = {0: (0, 50), 1: (0, 9)}
        self.members = 0
        self.passed_over = ""
        self.has_read = True

    async def committed(self, _: object, topic: str) -> dict[tuple[str, int], At]:
        if self.members:
            raise Refused(f"the group has {self.members} members: stop all workers")
        return {(topic, 0): At(50, "w1")} if self.has_read else {}

    async def fence(self, _: object, owners: Iterable[str]) -> None:
        self.done.append([one for one in owners if one])

    async def move(self, _: object, moved: list[Move], *__: object) -> None:
        self.done.append(moved)

    def check(self, _: object, source: Topic, spans: dict[int, tuple[int, int]]) -> None:
        assert (source.name, spans) == (COMMANDS, self.spans)
        if self.passed_over:
            raise Impossible(self.passed_over)

    def recreate(self, _: object, step: Create) -> None:
        self.done.append((step.name, step.partitions, step.replication))

    def existing(self, _: object, names: list[str]) -> dict[str, Existing]:
        return {name: self.topics[name] for name in names if name in self.topics}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    for name, value in (
        ("servers", lambda: Servers("localhost:1", "http://localhost:1")),
        ("spans_of", lambda *_: made.spans),
        ("existing_topics", made.existing),
        ("committed_at_rest", made.committed),
        ("fence_owners", made.fence),
        ("move_group", made.move),
        ("recreate", made.recreate),
        ("check_decided", made.check),
    ):
        monkeypatch.setattr(reset, name, value)
    return made


def test_p5_owners_are_fenced_then_offsets_moved_and_only_then_the_changelog_is_made_anew(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever it stops: an old state that reads its commands again changes nothing."""
    (tmp_path / "lock").touch()
    (tmp_path / "stores").mkdir()
    assert run([*WORDS, "--data-dir", str(tmp_path), "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], len(told["steps"])) == (True, 3)
    assert world.done == [
        ["w1"],
        [Move((COMMANDS, 0), 50, 0, "w1"), Move((COMMANDS, 1), NOWHERE, 0, "")],
        (CHANGELOG, 2, 2),
    ]
    assert not (tmp_path / "stores").exists()


def test_p5_a_changelog_that_is_gone_already_is_made_as_the_commands_are(world: World) -> None:
    del world.topics[CHANGELOG]
    assert run([*WORDS, "--yes"]) == 0
    assert world.done[-1] == (CHANGELOG, 2, 3)


def test_a_dry_run_says_the_steps_and_does_none(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*WORDS, "--role", "seats", "--dry-run"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0] == "seats: read section-commands again from offset 0: 59 offsets in 2 partitions"
    )
    assert len(lines) == 3
    assert world.done == []


def test_p5_while_workers_live_nothing_is_changed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.members = 2
    assert run([*WORDS, "--yes"]) == 2
    assert "stop all workers" in capsys.readouterr().err
    assert world.done == []


def test_for_another_group_than_that_of_the_role_nothing_is_changed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has no members; those of the role may be at work over the changelog."""
    world.has_read = False
    assert run([*WORDS, "--yes"]) == 2
    assert "has no offsets in section-commands: set SEATSTREAM_APP_ID" in capsys.readouterr().err
    assert world.done == []


def test_what_was_decided_by_commands_that_are_gone_is_not_forgotten(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.spans = {0: (0, 50), 1: (3, 9)}
    assert run([*WORDS, "--yes"]) == 2
    assert "section-commands-1 begins at 3" in capsys.readouterr().err
    del world.topics[COMMANDS]
    assert run([*WORDS, "--yes"]) == 2
    assert world.done == []


@pytest.mark.parametrize("how", ["--yes", "--dry-run"])
def test_s3_1_what_was_passed_over_is_not_decided_after_all(
    how: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.passed_over = "2 commands were passed over"
    assert run([*WORDS, how]) == 2
    assert "2 commands were passed over" in capsys.readouterr().err
    assert world.done == []


def test_nothing_is_changed_without_a_yes_or_for_a_directory_of_somebody_else(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert run(WORDS) == 2
    assert "--yes" in capsys.readouterr().err
    assert run([*WORDS, "--data-dir", str(tmp_path), "--yes"]) == 2
    assert run(["reset", "--yes"]) == 2
    assert world.done == []
