"""Answers get into the log in spite of brokers; producers are in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError

from streams.runtime.outside import answers as module
from streams.runtime.outside.answers import AnswerLog, AnswerTooLarge
from streams.runtime.process.observer import Observer


@dataclass
class Brokers:
    """fails: what the next sends raise. starts_fail: how many starts fail."""

    fails: list[KafkaError] = field(default_factory=list)
    starts_fail: int = 0
    values: list[bytes] = field(default_factory=list)
    made: int = 0
    running: int = 0


class Producer:
    def __init__(self, brokers: Brokers) -> None:
        self.brokers = brokers
        self.is_running = False
        brokers.made += 1

    async def start(self) -> None:
        if self.brokers.starts_fail:
            self.brokers.starts_fail -= 1
            raise KafkaConnectionError("told so")
        self.is_running = True
        self.brokers.running += 1

    async def stop(self) -> None:
        self.brokers.running -= self.is_running
        self.is_running = False

    async def send_and_wait(
        self, topic: str, value: bytes, *, key: bytes | None, partition: int
    ) -> None:
        assert (topic, key, partition) == ("asked", b"k", 3)
        await asyncio.sleep(0)
        if self.brokers.fails:
            raise self.brokers.fails.pop(0)
        self.brokers.values.append(value)


def with_log(brokers: Brokers, talk: Callable[[AnswerLog], Awaitable[None]]) -> None:
    async def conversation() -> None:
        log = AnswerLog(lambda: Producer(brokers), Observer(30))
        try:
            await talk(log)
        finally:
            await log.stop()
        assert brokers.running == 0

    asyncio.run(conversation())


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.0)


def test_an_answer_is_sent_until_it_is_in_with_a_producer_made_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    brokers = Brokers([KafkaConnectionError(), KafkaConnectionError()], starts_fail=1)

    async def talk(log: AnswerLog) -> None:
        await asyncio.gather(*(log.append("asked", 3, b"k", b"%d" % one) for one in range(5)))

    with_log(brokers, talk)
    assert sorted(brokers.values) == [b"%d" % one for one in range(5)]
    assert 2 <= brokers.made <= 4
    assert caplog.text.count("answers wait for the brokers") >= 1


def test_what_no_broker_takes_is_not_tried_for_ever() -> None:
    async def talk(log: AnswerLog) -> None:
        with pytest.raises(AnswerTooLarge):
            await log.append("asked", 3, b"k", b"x")

    with_log(Brokers([MessageSizeTooLargeError()]), talk)


def test_whoever_loses_the_partition_ends_the_trying() -> None:
    brokers = Brokers(starts_fail=1_000_000)

    async def talk(log: AnswerLog) -> None:
        trying = asyncio.create_task(log.append("asked", 3, b"k", b"x"))
        while brokers.made < 3:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0)
        trying.cancel()
        await asyncio.wait({trying})
        assert trying.cancelled()

    with_log(brokers, talk)
    assert brokers.values == []
