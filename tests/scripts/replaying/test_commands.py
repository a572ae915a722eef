"""What an operator types to have commands decided again, from the words to the exit code."""

import json
import random
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from support.logs.driven_logs import ID_BY_NAME, IDS, drawn, log_of_driver

from schemas.topics import (
    DEAD_LETTER_QUEUE,
    RESERVATION_OUTCOMES,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    Topic,
)
from scripts.auditing.log import Log
from scripts.auditing.report import offset_of
from scripts.auditing.topics import LogRecord
from scripts.brokers.addresses import Servers
from scripts.history import reading
from scripts.program.main import run
from scripts.replaying import commands

PARTITIONS = 2
COUNT = 260


def log_up_to(share: float, seed: int = 5) -> Log:
    """Return the topics as they are when workers have decided a share of the same commands."""
    drawn_ = drawn(seed, COUNT, PARTITIONS)
    some = {part: records[: int(len(records) * share)] for part, records in drawn_.items()}
    return log_of_driver(some, random.Random(seed))


WHOLE, HALF = log_up_to(1.0), log_up_to(0.5)


class Lying:
    """Topics in memory; firsts: by topic and partition, the first offset that retention left."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.firsts: dict[str, dict[int, int]] = {}

    def records(self, topic: Topic, partition: int) -> list[LogRecord]:
        by_topic = {
            SECTION_COMMANDS.name: self.log.commands,
            RESERVATION_OUTCOMES.name: self.log.outcomes,
            SEATS_CHANGELOG.name: self.log.changelog,
            DEAD_LETTER_QUEUE.name: self.log.dead_letters,
        }
        first = self.firsts.get(topic.name, {}).get(partition, 0)
        return [one for one in by_topic[topic.name][partition] if one.offset >= first]

    def spans_of(self, _: Servers, topic: Topic, **__: Any) -> dict[int, tuple[int, int]]:
        found = {}
        for part in range(PARTITIONS):
            records = self.records(topic, part)
            first = self.firsts.get(topic.name, {}).get(part, 0)
            found[part] = first, records[-1].offset + 1 if records else first
        return found

    def each_line(
        self,
        _: Servers,
        topic: Topic,
        is_wanted: Callable[[LogRecord], bool],
        partitions: Iterable[int] | None = None,
        begins: Mapping[int, int] | None = None,
    ) -> Iterable[tuple[int, LogRecord]]:
        for part in range(PARTITIONS) if partitions is None else partitions:
            for one in self.records(topic, part):
                if one.offset >= (begins or {}).get(part, 0) and is_wanted(one):
                    yield part, one


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> Lying:
    topics = Lying(deepcopy(WHOLE))
    writers = {number: (name, None) for name, number in ID_BY_NAME.items()}
    monkeypatch.setattr(commands, "servers", lambda: Servers("localhost:1", "http://localhost:1"))
    monkeypatch.setattr(commands, "cluster_of", lambda _: "cluster-1")
    monkeypatch.setattr(commands, "schema_ids", lambda *_, **__: IDS)
    monkeypatch.setattr(
        commands,
        "writers_of",
        lambda _, ids: ({one: writers[one] for one in ids & writers.keys()}, []),
    )
    for module in (commands, reading):
        monkeypatch.setattr(module, "spans_of", topics.spans_of)
        monkeypatch.setattr(module, "each_line", topics.each_line)
    return topics


def said(*words: object, code: int, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["replay", *map(str, words), "--json"]) == code
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_what_workers_decided_is_decided_again_to_the_byte(
    lying: Lying, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(code=0, capsys=capsys)
    assert told["exact"]
    assert told["since_the_beginning"]
    assert told["commands"] == sum(map(len, WHOLE.commands.values()))
    assert told["outcomes_equal"] == sum(map(len, WHOLE.outcomes.values()))
    assert told["keys_equal"] == sum(map(len, WHOLE.changelog.values()))
    assert run(["replay"]) == 0
    assert "verdict: exact since the beginning of the log" in capsys.readouterr().out


def test_p8_a_replay_goes_on_at_a_snapshot_where_the_first_commands_are_gone(
    lying: Lying, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, next_ = tmp_path / "monday", tmp_path / "tuesday"
    lying.log = deepcopy(HALF)
    assert said("--write", kept, code=0, capsys=capsys)["snapshot"] == str(kept)
    lying.log = deepcopy(WHOLE)
    ends = {part: records[-1].offset + 1 for part, records in HALF.commands.items()}
    lying.firsts = {SECTION_COMMANDS.name: ends}
    gone = said(code=2, capsys=capsys)
    assert "retention removed the commands" in gone["error"]
    told = said("--from", kept, "--write", next_, code=0, capsys=capsys)
    assert {int(part): span[0] for part, span in told["spans"].items()} == ends
    assert told["outcomes_equal"] == sum(
        len(WHOLE.outcomes[part]) - len(HALF.outcomes[part]) for part in range(PARTITIONS)
    )
    assert said("--from", next_, code=0, capsys=capsys)["commands"] == 0


def test_outcomes_that_are_gone_before_the_commands_are_not_missed(
    lying: Lying, capsys: pytest.CaptureFixture[str]
) -> None:
    firsts = {part: len(records) // 2 for part, records in WHOLE.outcomes.items()}
    lying.firsts = {RESERVATION_OUTCOMES.name: firsts}
    told = said(code=0, capsys=capsys)
    assert 0 < told["outcomes_equal"] < sum(map(len, WHOLE.outcomes.values()))


def spoil_outcome(log: Log) -> None:
    part = next(part for part, records in log.outcomes.items() if len(records) > 3)
    del log.outcomes[part][2]


def repeat_outcome(log: Log) -> None:
    part = next(part for part, records in log.outcomes.items() if len(records) > 3)
    last = log.outcomes[part][-1]
    log.outcomes[part].append(LogRecord(last.offset + 1, 0, last.key, last.value))


def lose_state(log: Log) -> None:
    part, at = next(
        (part, at)
        for part, records in log.changelog.items()
        for at, one in enumerate(records)
        if one.key and one.key[:1] == b"r"
    )
    del log.changelog[part][at]


def other_command(log: Log) -> None:
    """Put in the place of one hold another one, as a log of another timeline has it."""
    part, trigger = next(
        (part, offset_of(fields["outcomeId"]))
        for part, records in log.outcomes.items()
        for name, fields in (log.wire.decode(one.value or b"") for one in records)
        if name == "SeatsHeld"
    )
    at = next(at for at, one in enumerate(log.commands[part]) if one.offset == trigger)
    one = log.commands[part][at]
    log.commands[part][at] = LogRecord(one.offset, one.timestamp, one.key, b"junk")


@pytest.mark.parametrize(
    ("spoil", "kinds"),
    [
        (spoil_outcome, {"lost outcome"}),
        (repeat_outcome, {"phantom outcome"}),
        (lose_state, {"lost state"}),
        (other_command, {"phantom outcome"}),
    ],
)
def test_whatever_differs_is_found_and_no_snapshot_is_kept(
    spoil: Callable[[Log], None],
    kinds: set[str],
    lying: Lying,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(lying.log)
    told = said("--write", tmp_path / "kept", code=1, capsys=capsys)
    assert kinds <= told["findings"].keys()
    assert not told["exact"]
    assert told["snapshot"] is None
    assert list(tmp_path.iterdir()) == []
    assert run(["replay"]) == 1
    out = capsys.readouterr().out
    assert "verdict: WRONG" in out
    assert all(f"{kind}: " in out for kind in kinds)


def test_a_state_can_be_taken_as_it_is_and_is_not_called_verified(
    lying: Lying, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    lying.log = deepcopy(HALF)
    assert said("--begin-here", "--write", kept, code=0, capsys=capsys) == {
        "snapshot": str(kept),
        "verified": False,
    }
    lying.log = deepcopy(WHOLE)
    told = said("--from", kept, "--write", tmp_path / "next", code=0, capsys=capsys)
    assert told["exact"]
    assert not told["since_the_beginning"]
    assert not said("--from", tmp_path / "next", code=0, capsys=capsys)["since_the_beginning"]


@pytest.mark.parametrize(
    "words",
    [["--begin-here"], ["--write", "x", "--partition", "0"], ["--from", "nowhere"]],
)
def test_what_does_not_fit_together_ends_with_2(
    words: list[str], lying: Lying, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(*words, code=2, capsys=capsys)["error"]


def test_a_snapshot_of_another_cluster_or_ahead_of_the_state_is_refused(
    lying: Lying,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = tmp_path / "kept"
    said("--write", kept, code=0, capsys=capsys)
    lying.log = deepcopy(HALF)
    assert "it went back" in said("--from", kept, code=2, capsys=capsys)["error"]
    monkeypatch.setattr(commands, "cluster_of", lambda _: "cluster-2")
    assert "cluster-1" in said("--from", kept, code=2, capsys=capsys)["error"]


def test_one_partition_can_be_replayed_alone(
    lying: Lying, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said("--partition", 1, code=0, capsys=capsys)
    assert told["spans"].keys() == {"1"}
    assert told["commands"] == len(WHOLE.commands[1])
