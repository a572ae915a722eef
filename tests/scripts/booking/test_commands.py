"""What an operator types about the booking queue, from the words to the exit code."""

import asyncio
import json

import pytest
from support.booking_queue.suite import put, taken_of
from support.redis.events import EVENTS
from support.redis.locking import ask_of, redis_at

from infra.stack.ports import free_ports
from scripts.program.main import run
from state.domain.booking_queue.statuses import DeadReason
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.keys import booking_queue


@pytest.fixture
def event(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Give an event with a dead item, one whose worker is gone, and one that waits."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    made = next(EVENTS)

    async def fill() -> None:
        async with redis_at(redis_url) as client:
            queue = RedisBookingQueue(ask_of(client))
            for user in ("ann", "ben", "cy\x1b[2J"):
                await put(queue, made, user)
            dead = await taken_of(queue, made)
            await queue.fail(dead, DeadReason.INVALID_DATA, is_final=True)
            lost = await taken_of(queue, made)
            await client.zadd(booking_queue(made)[2], {lost.item.id: 1}, xx=True)

    asyncio.run(fill())
    return made


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = run(["booking-queue", *words])
    return code, capsys.readouterr().out


def test_how_the_queue_stands_is_told_of_one_event_and_of_all(
    event: int, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = asked(capsys, "stats", str(event))
    assert code == 0
    assert told.startswith(f"event {event}: 1 wait")
    assert "1 with workers, 1 dead; of 3 0 completed" in told
    code, told = asked(capsys, "stats", "--json")
    [standing] = [one for one in json.loads(told)["events"] if one["event"] == event]
    assert (code, standing["waiting"], standing["taken"], standing["dead"]) == (0, 1, 1, 1)


def test_dead_items_are_listed_tried_anew_once_and_removed(
    event: int, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = asked(capsys, "dead", str(event), "--json")
    [dead] = json.loads(told)["dead"]
    assert (code, dead["user"], dead["reason"]) == (1, "ann", "invalid_data")
    item = dead["item"]
    assert asked(capsys, "dead", str(event)) == (1, f"{item} invalid_data: ann asked for {{}}\n")
    for word, would in (("requeue", "be tried anew"), ("remove", "be forgotten")):
        assert asked(capsys, word, item, "nothing", "--dry-run") == (
            1,
            f"{item} would {would}\nnothing is not dead: left as it is\n",
        )
    assert asked(capsys, "requeue", item, "--yes") == (0, f"{item} tried anew\n")
    assert asked(capsys, "requeue", item, "--yes")[0] == 1
    assert asked(capsys, "remove", item, "nothing", "--yes", "--json") == (
        1,
        json.dumps({"items": {item: False, "nothing": False}}) + "\n",
    )
    assert asked(capsys, "dead", str(event)) == (0, "")


def test_what_no_program_can_take_back_is_asked_about(
    event: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("requeue", "x"), ("remove", "x")):
        assert run(["booking-queue", *words]) == 2
        assert "give --yes" in capsys.readouterr().err


def test_cleaning_up_gives_back_what_a_dead_worker_had(
    event: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(capsys, "cleanup", str(event), "--dry-run") == (1, f"clean up event {event}\n")
    code, told = asked(capsys, "cleanup", str(event))
    assert (code, told) == (0, "1 given back, 0 died, 0 expired\n")
    assert asked(capsys, "cleanup", str(event), "--json") == (
        0,
        json.dumps({"given_back": 0, "died": 0, "expired": 0}) + "\n",
    )


def test_a_redis_that_does_not_answer_is_told_with_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setattr("state.redis.client._FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("state.redis.client._LONGEST_PAUSE_S", 0.001)
    assert run(["booking-queue", "stats"]) == 2
    told = capsys.readouterr().err
    assert "Connection" in told
    assert "REDIS_URL" in told


def test_brokers_that_do_not_answer_are_told_with_code_2_and_soon(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [nobody] = free_ports(1)
    monkeypatch.setenv("KAFKA_BROKERS", f"127.0.0.1:{nobody}")
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("scripts.booking.commands.PATIENCE_S", 3.0)
    assert run(["booking-queue", "stats", "--in", "kafka"]) == 2
    assert "KAFKA_BROKERS" in capsys.readouterr().err
