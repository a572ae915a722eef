"""What an operator types, from the words to the exit code, over dead letters in memory."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from support.logs.letters_in_memory import InMemory

from schemas.topics import DEAD_LETTER_QUEUE, SECTION_COMMANDS
from scripts.auditing.topics import CannotRead, LogRecord
from scripts.brokers.addresses import Servers
from scripts.letters import commands
from scripts.letters.letter import REDRIVEN_FROM, Letter, Mark, Origin, read_letter
from scripts.letters.sending import Letters
from scripts.program.main import run

SOURCE = SECTION_COMMANDS.name


class World:
    """Letters that lie in the topic, and the producer; fenced: senders that were started."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.producer = InMemory()
        self.fenced: list[str] = []

    def add(self, at: int, key: bytes = b"1-A", cause: str = "SCHEMA", cut: str = "") -> None:
        origin = Origin(SOURCE, 3, at, 1_800_000_000_000)
        one = Letter(3, at, 1, origin, cause, "why", key, b"v", (), {}, cut)
        self.letters.append(one)

    def read(self, _: Servers, keeps: Any, *__: Any) -> Letters:
        sent = set()
        for topic, partition, key, value, headers in self.producer.committed:
            if topic == DEAD_LETTER_QUEUE.name:
                mark = read_letter(partition, LogRecord(1, 1, key, value, headers))
                assert isinstance(mark, Mark)
                sent.add(mark.origin_id)
        kept = [one if keeps(one) else replace(one, value=None) for one in self.letters]
        return Letters(kept, sent, [])

    @contextmanager
    def sender(self, _: Servers, transactional_id: str) -> Iterator[InMemory]:
        self.fenced.append(transactional_id)
        yield self.producer

    def sent(self) -> list[str]:
        return [
            dict(headers)[REDRIVEN_FROM].decode()
            for topic, *_, headers in self.producer.committed
            if topic == SOURCE
        ]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(commands, "servers", lambda: Servers("localhost:1", "http://localhost:1"))
    monkeypatch.setattr(commands, "read_letters", made.read)
    monkeypatch.setattr(commands, "sender", made.sender)
    monkeypatch.setattr(commands, "partitions_of", lambda _, names: dict.fromkeys(names, 20))
    return made


def test_b83_a_second_redrive_sends_nothing_twice(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add(1)
    world.add(2, b"1-B")
    assert run(["dead-letters", "list"]) == 1
    assert run(["dead-letters", "redrive", "--yes", "--reason", "rolled out"]) == 0
    assert run(["dead-letters", "redrive", "--yes"]) == 0
    assert world.sent() == [one.origin.id for one in world.letters]
    assert run(["dead-letters", "list"]) == 0
    assert "no dead letters" in capsys.readouterr().out
    assert run(["dead-letters", "list", "--sent"]) == 1


def test_s3_5_two_redrives_fence_each_other_whichever_workers_their_shells_are_set_up_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is one for all groups."""
    assert run(["dead-letters", "redrive", "--yes"]) == 0
    monkeypatch.setenv("SEATSTREAM_APP_ID", "purchase-creation-workers")
    assert run(["dead-letters", "redrive", "--yes"]) == 0
    assert world.fenced == ["dead-letter-queue-redrive"] * 2


def test_a_dry_run_changes_nothing_and_fences_nobody(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add(1)
    assert run(["dead-letters", "redrive", "--dry-run", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["sent"], told["sums"]["send"]) == (0, 1)
    assert (world.fenced, world.sent()) == ([], [])


def test_what_stays_behind_ends_with_1_and_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add(1, cut="its value was cut")
    world.add(2)
    assert run(["dead-letters", "redrive", "--yes"]) == 1
    said = capsys.readouterr().out
    assert "0 to send, 0 sent before, 1 that cannot be sent, 1 behind" in said
    assert run(["dead-letters", "redrive", "--yes", "--leave-earlier"]) == 1
    assert world.sent() == [world.letters[1].origin.id]


def test_only_what_is_asked_for_is_sent(world: World) -> None:
    world.add(1, b"1-A", "SCHEMA")
    world.add(2, b"1-B", "QUARANTINED")
    assert run(["dead-letters", "redrive", "--yes", "--cause", "QUARANTINED"]) == 0
    assert world.sent() == [world.letters[1].origin.id]


def test_without_a_terminal_and_a_yes_nothing_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.add(1)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert run(["dead-letters", "redrive"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert world.sent() == []


def test_ctrl_c_keeps_what_was_sent_and_the_next_run_sends_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.letters.sending.BATCH", 1)
    for at in range(3):
        world.add(at)
    world.producer.dies_at = 4
    assert run(["dead-letters", "redrive", "--yes"]) == 130
    assert len(world.sent()) == 2
    world.producer.dies_at = -1
    assert run(["dead-letters", "redrive", "--yes"]) == 0
    assert world.sent() == [one.origin.id for one in world.letters]
    assert "stopped" in capsys.readouterr().err


def test_a_letter_is_shown_by_its_place(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.add(7)
    assert run(["dead-letters", "show", "3:7"]) == 0
    assert "no Confluent header" in capsys.readouterr().out
    assert run(["dead-letters", "show", "3:8", "--json"]) == 2
    assert "3:8" in json.loads(capsys.readouterr().out)["error"]


def test_a_log_that_cannot_be_read_is_no_empty_one(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise CannotRead("a transaction is open")

    monkeypatch.setattr(commands, "read_letters", broken)
    for words in (["list"], ["redrive", "--yes"], ["redrive", "--dry-run"], ["show", "1:1"]):
        assert run(["dead-letters", *words]) == 2
    assert capsys.readouterr().err.count("a transaction is open") == 4


@pytest.mark.parametrize("words", [["--since", "soon"], ["--nonsense"]])
def test_a_wrong_argument_ends_with_2(
    words: list[str], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dead-letters", "list", *words]) == 2
    assert words[-1] in capsys.readouterr().err
