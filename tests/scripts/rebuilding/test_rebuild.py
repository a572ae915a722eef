"""What an operator types to have a topic written anew, from the words to the exit code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import Topic
from scripts.auditing.topics import LogRecord
from scripts.brokers.addresses import NotUp, Servers
from scripts.contracts.topics import Create
from scripts.letters.letter import Sent
from scripts.letters.sending import NotSent
from scripts.program.main import run
from scripts.rebuilding import live, rebuild
from scripts.rebuilding.comparing import Comparison, Counts, compare
from scripts.rebuilding.journal import Entry, entry_of
from scripts.rebuilding.one_at_a_time import alone
from scripts.rebuilding.second_topic import Second

STATE = {"1-A": Counts(1, 1, 0, 0, 0, 1, 1)}
TOLD = {"1-A": {"version": 1, "availableCount": 1, "heldCount": 0, "largestBlock": 1}}
TOPIC = "section-status"
WORDS = ["topics", "rebuild", "section-status"]


class World:
    """dies_at: the name of a step before which somebody is stopped."""

    def __init__(self) -> None:
        self.has_registry = True
        self.spans = {0: (2, 10), 1: (0, 4)}
        self.lines: list[Entry] = []
        self.done: list[str] = []
        self.found: Comparison = compare(STATE, TOLD)
        self.dies_at = ""
        self.fenced_at = ""
        self.nudged = live.Nudged(0)
        self.fenced: list[str] = []
        self.topic = TOPIC
        self.removed_of: set[str] = set()

    def asked(self, *, and_registry: bool) -> Servers:
        if and_registry and not self.has_registry:
            raise NotUp("no schema registry answers")
        return Servers("localhost:1", "http://localhost:1")

    def step(self, name: str) -> None:
        if name == self.dies_at:
            raise KeyboardInterrupt
        self.done.append(name)

    def write(self, _: Any, records: list[Sent]) -> None:
        [sent] = records
        entry = entry_of(self.topic, LogRecord(0, 1, sent.key, None, tuple(sent.headers)))
        assert entry is not None
        if entry.step == self.fenced_at:
            raise NotSent("somebody else began")
        self.step(entry.step)
        self.lines.append(entry)

    def second_of(self, where: Servers, name: str, *_: object) -> Second:
        there = where.with_status(name)
        return Second(there, TOPIC, Create(name, 2, 1, {}), is_there=False)

    def nudge(self, *_: object) -> live.Nudged:
        self.step("nudge")
        return self.nudged

    def remove(self, _: Any, topic: Topic, befores: dict[int, int]) -> None:
        self.step("remove")
        self.removed_of.add(topic.name)
        self.spans = {part: (befores[part], end) for part, (_, end) in self.spans.items()}

    @contextmanager
    def deletable(self, _: Any, __: Topic) -> Iterator[None]:
        self.step("open")
        try:
            yield
        finally:
            self.done.append("close")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    @contextmanager
    def sender(_: Servers, transactional_id: str) -> Iterator[None]:
        made.fenced.append(transactional_id)
        yield

    for name, value in (
        ("servers", made.asked),
        ("spans_of", lambda *_: made.spans),
        ("read_journal", lambda _: [*made.lines]),
        ("states_of", lambda _: STATE),
        ("sender", sender),
        ("send_as_one", made.write),
        ("compared_in_time", lambda *_, **__: made.found),
    ):
        monkeypatch.setattr(rebuild, name, value)
    monkeypatch.setattr(rebuild, "second_of", made.second_of)
    monkeypatch.setattr(rebuild, "make", lambda *_: made.step("make"))
    monkeypatch.setattr(live, "admin_of", lambda _: None)
    monkeypatch.setattr(live, "deletable", made.deletable)
    monkeypatch.setattr(live, "nudge", made.nudge)
    monkeypatch.setattr(live, "wait_until_told", lambda *_: made.step("wait"))
    monkeypatch.setattr(live, "remove", made.remove)
    monkeypatch.setattr(live, "close", lambda *_: made.done.append("close"))
    return made


def test_u2_what_is_old_is_removed_behind_the_proof_and_the_journal(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "rebuilt.md"
    assert run([*WORDS, "--yes", "--json", "--report", str(report)]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["rebuilt_keys"], told["rebuild_mismatches"], told["removed"]) == (1, 0, 12)
    assert world.done == ["begun", "open", "nudge", "wait", "cut", "remove", "close", "done"]
    said = report.read_text(encoding="utf-8")
    assert "Verified: nothing is missing" in said
    assert "removed: 12" in said


@pytest.mark.parametrize("dies_at", ["begun", "open", "nudge", "wait", "cut", "remove", "done"])
def test_f84_whoever_is_stopped_anywhere_goes_on_to_the_same_end(
    dies_at: str, world: World
) -> None:
    world.dies_at = dies_at
    assert run([*WORDS, "--yes"]) == 130
    assert world.done.count("open") == world.done.count("close")
    world.dies_at = ""
    # Sales went on.
    world.spans = {part: (first, end + 9) for part, (first, end) in world.spans.items()}
    assert run([*WORDS, "--yes"]) == 0
    firsts = (10, 4) if world.lines[0].begins == (10, 4) else (19, 13)
    assert {first for first, _ in world.spans.values()} == {*firsts}
    assert len({entry.run for entry in world.lines}) == 1
    assert world.lines[-1].step == "done"
    assert run([*WORDS, "--yes"]) == 0
    assert world.lines[-1].run != world.lines[0].run


def test_f84_who_was_overtaken_removes_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.fenced_at = "cut"
    assert run([*WORDS, "--yes"]) == 2
    assert "somebody else began" in capsys.readouterr().err
    assert "remove" not in world.done
    assert world.done[-1] == "close"


def test_s3_5_two_rebuilds_fence_each_other_whichever_workers_their_shells_are_set_up_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run([*WORDS, "--yes"]) == 0
    monkeypatch.setenv("SEATSTREAM_APP_ID", "purchase-creation-workers")
    assert run([*WORDS, "--yes"]) == 0
    assert world.fenced == ["section-status-rebuild"] * 2


def test_u2_a_second_topic_is_emptied_before_any_pod_reads_it_and_never_again(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """So every owner tells all once more, and one that does not write there is found out."""
    world.topic = "section-status-b"
    words = [*WORDS, "--to", world.topic, "--partitions", "2", "--yes"]
    assert run(words) == 0
    begins = ["make", "begun", "open"]
    ends = ["wait", "cut", "remove", "close", "done"]
    assert world.done == [*begins, "remove", *ends]
    assert "SEATSTREAM_STATUS_TOPIC=section-status-b" in capsys.readouterr().out
    world.done.clear()
    assert run(words) == 0
    assert world.done == [*begins, "nudge", *ends]
    assert world.removed_of == {world.topic}
    assert world.fenced == ["section-status-b-rebuild"] * 2


def test_u2_a_dry_run_of_a_second_topic_says_what_is_to_be_restarted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*WORDS, "--to", "section-status-b", "--dry-run", "--json"]) == 1
    [creates, _, settings, _] = json.loads(capsys.readouterr().out)["steps"]
    assert creates == "create section-status-b: 2 partitions, 1 replicas"
    assert settings.strip().endswith("SEATSTREAM_STATUS_ALSO=section-status")
    assert world.done == []


@pytest.mark.parametrize(
    "words",
    [
        ("topics", "rebuild", "section-commands"),
        (*WORDS, "--to", "events"),
        (*WORDS, "--partitions", "40"),
    ],
)
def test_no_other_topic_is_taken_and_none_that_is_there_gets_other_partitions(
    words: tuple[str, ...], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--yes"]) == 2
    assert "section-status" in capsys.readouterr().err.replace("--to", "section-status")
    assert world.done == []


def test_nothing_is_removed_where_a_status_is_missing_or_wrong(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.found = compare(STATE, {})
    assert run([*WORDS, "--yes", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["rebuilt_keys"], told["rebuild_mismatches"], told["removed"]) == (0, 1, 0)
    assert "remove" not in world.done
    assert [entry.step for entry in world.lines] == ["begun"]


def test_what_takes_long_is_said_with_what_is_quicker(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.nudged = live.Nudged(3)
    assert run([*WORDS, "--yes"]) == 0
    assert "in 3 partitions workers tell again within" in capsys.readouterr().err


def test_what_cannot_be_read_is_said_with_what_may_be_the_cause(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.nudged = live.Nudged(1, "2 cannot be read, the first at section-status-0, offset 5: x")
    assert run([*WORDS, "--yes"]) == 0
    said = capsys.readouterr().err
    assert "2 cannot be read, the first at section-status-0, offset 5" in said
    assert "SCHEMA_REGISTRY_URL" in said


def test_a_dry_run_changes_nothing_and_says_what_is_under_way(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*WORDS, "--dry-run", "--json"]) == 1
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps[-1] == "remove the 12 offsets before them"
    assert world.done == []
    world.dies_at = "wait"
    assert run([*WORDS, "--yes"]) == 130
    assert run([*WORDS, "--dry-run"]) == 1
    assert "go on with the rebuild" in capsys.readouterr().out


def test_nothing_begins_without_a_yes(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert run(WORDS) == 2
    assert "--yes" in capsys.readouterr().err
    assert world.done == []


def test_one_is_given_up_before_it_removes_anything_and_not_behind_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*WORDS, "--give-up"]) == 0
    assert "no rebuild is under way" in capsys.readouterr().out
    world.dies_at = "wait"
    assert run([*WORDS, "--yes"]) == 130
    assert run([*WORDS, "--give-up", "--json"]) == 0
    assert world.lines[-1].step == "given-up"
    world.dies_at = "remove"
    assert run([*WORDS, "--yes"]) == 130
    assert run([*WORDS, "--give-up"]) == 2
    assert "without --give-up" in capsys.readouterr().err


def test_f84_who_comes_second_is_told_who_is_at_it_and_ends_nothing(
    world: World,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    second: list[int] = []

    def wait(*_: object) -> None:
        second.append(run([*WORDS, "--yes"]))
        world.step("wait")

    monkeypatch.setattr(live, "wait_until_told", wait)
    assert run([*WORDS, "--yes"]) == 0
    assert second == [2]
    assert "somebody is making section-status anew: " in capsys.readouterr().err
    assert (len(world.fenced), world.lines[-1].step) == (1, "done")
    # One that was stopped keeps nobody off, and giving up asks nobody.
    monkeypatch.setattr(live, "wait_until_told", lambda *_: world.step("wait"))
    world.dies_at = "wait"
    assert run([*WORDS, "--yes"]) == 130
    with alone(TOPIC, redis_url):
        assert run([*WORDS, "--give-up"]) == 0
    world.dies_at = ""
    assert run([*WORDS, "--yes"]) == 0


@pytest.mark.parametrize("how", ["--dry-run", "--yes"])
def test_nothing_begins_or_is_planned_without_a_registry_but_what_is_under_way_can_be_given_up(
    how: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.has_registry = False
    assert run([*WORDS, how]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no schema registry answers" in err
    assert world.done == []
    assert run([*WORDS, "--give-up", "--dry-run"]) == 1
