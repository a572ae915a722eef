"""What an operator types to have a line put back, from the words to the exit code."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from support.redis.events import EVENTS

from schemas.topics import WAITING_TURNS
from scripts.auditing.topics import LogRecord
from scripts.brokers.addresses import Servers
from scripts.history.reading import Unread
from scripts.program.main import run
from scripts.rebuilding import waiting_room as rebuilding
from scripts.rebuilding.one_at_a_time import alone
from state.domain.waiting.line import Fact, Step
from state.domain.waiting.lots import commitment_of
from state.redis.keys import waiting_room


def told(event: int, user: str, turn: int, step: str, last_ms: int = 0) -> Any:
    fields = {"eventId": event, "userId": user, "turn": turn, "step": step, "lastMs": last_ms}
    return 0, LogRecord(0, 0, b"", b""), "TurnChanged", fields


class World:
    def __init__(self) -> None:
        self.event = next(EVENTS)
        self.records = [
            told(self.event, "ann", 1, "GIVEN"),
            told(self.event, "ben", 2, "GIVEN"),
            told(self.event, "ann", 1, "ADMITTED", 2**45),
            told(self.event, "cy", 3, "GIVEN"),
        ]
        self.unreadable = 0

    def read(self, _: Servers, event: int, unread: Unread) -> Iterator[Any]:
        assert event == self.event
        for at in range(self.unreadable):
            unread.note(WAITING_TURNS, 0, at, "no schema")
        yield from self.records

    def run(self, *options: str) -> int:
        return run(["waiting-room", "rebuild", str(self.event), "--yes", *options])


@pytest.fixture
def world(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setattr(
        rebuilding, "servers", lambda: Servers("localhost:1", "http://localhost:1")
    )
    monkeypatch.setattr(rebuilding, "read", made.read)
    return made


def test_u6_a_line_is_put_back_once_and_a_living_one_is_left_alone(
    world: World, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = waiting_room(world.event)[1]
    with Redis.from_url(redis_url) as client:
        assert world.run("--dry-run") == 1
        assert "2 wait, 1 were let in, turns of 0 are used up" in capsys.readouterr().out
        assert not client.exists(line)
        assert world.run() == 0
        assert client.zrange(line, 0, -1) == [b"ben", b"cy"]
        assert world.run() == 2
        assert "this line lives" in capsys.readouterr().err
        client.zrem(line, "cy")
        client.hdel(waiting_room(world.event)[4], "cy")
        assert world.run("--into-living-line", "--json") == 0
        assert "1 of 3" in json.loads(capsys.readouterr().out)["steps"][0]
        assert client.zrange(line, 0, -1) == [b"ben", b"cy"]


def test_u6_who_comes_second_is_told_so_at_once(
    world: World, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone(f"the line of event {world.event}", redis_url):
        assert world.run() == 2
    assert f"somebody is making the line of event {world.event} anew" in capsys.readouterr().err
    with Redis.from_url(redis_url) as client:
        assert not client.exists(waiting_room(world.event)[1])


def test_u6_what_cannot_be_read_is_not_taken_for_nothing(
    world: World, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.unreadable = 2
    assert world.run() == 2
    assert "2 cannot be read" in capsys.readouterr().err
    with Redis.from_url(redis_url) as client:
        assert not client.exists(*waiting_room(world.event))
    assert world.run("--despite-unreadable") == 0
    assert "left out: 2" in capsys.readouterr().out


def test_d31_u6_a_line_by_lot_opens_as_it_would_have(
    world: World, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commitment = commitment_of(bytes(32))
    told = {"eventId": world.event, "opensMs": 2**41, "commitment": commitment, "seed": ""}
    others = told | {"commitment": "ab" * 32, "opensMs": 2**40}
    world.records[:0] = [(0, LogRecord(0, 0, b"", b""), "SeedTold", one) for one in (others, told)]
    assert world.run("--dry-run") == 1
    assert f"opens at {2**41} Unix ms" in capsys.readouterr().out
    assert world.run() == 0
    with Redis.from_url(redis_url) as client:
        fields = client.hmget(waiting_room(world.event)[0], ["opens", "commitment", "shown"])
        assert fields == [str(2**41).encode(), commitment.encode(), None]


def test_u6_what_no_pod_tells_puts_nobody_into_a_line() -> None:
    records = [
        told(7, "ann", 1, "GIVEN"),
        told(8, "ben", 2, "GIVEN"),
        told(7, "", 3, "GIVEN"),
        told(7, "a\nb", 4, "GIVEN"),
        told(7, "cy", 0, "GIVEN"),
        told(7, "cy", 2**52, "GIVEN"),
        told(7, "cy", 5, "UNSPECIFIED"),
    ]
    assert list(rebuilding.facts_of(records, 7)) == [Fact("ann", 1, Step.GIVEN)]
