"""Answers get into the log in spite of brokers; producers are in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from support.pods.conditions import until
from support.workers.echo import FakeRecord

from streams.runtime.outside import answers as module
from streams.runtime.outside.answers import AnswerLog, AnswerTooLarge, idempotent_producer
from streams.runtime.process.observer import Observer


@dataclass
class Brokers:
    """fails: what the next sends raise. starts_fail: how many starts fail."""

    fails: list[KafkaError] = field(default_factory=list)
    starts_fail: int = 0
    values: list[bytes] = field(default_factory=list)
    made: int = 0
    running: int = 0
    abandoned: int = 0
    hangs: bool = False


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
        if self.brokers.hangs:
            await asyncio.Event().wait()
        self._let_go()

    async def abandon(self) -> None:
        self.brokers.abandoned += 1
        self._let_go()

    def _let_go(self) -> None:
        self.brokers.running -= self.is_running
        self.is_running = False

    async def send_and_wait(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None,
        partition: int,
        headers: list[tuple[str, bytes]],
    ) -> FakeRecord:
        assert (topic, key, partition, headers) == ("asked", b"k", 3, [])
        await asyncio.sleep(0)
        if self.brokers.fails:
            raise self.brokers.fails.pop(0)
        self.brokers.values.append(value)
        return FakeRecord(len(self.brokers.values) - 1)


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
        offsets = await asyncio.gather(
            *(log.append("asked", 3, b"k", b"%d" % one) for one in range(5))
        )
        assert sorted(offsets) == list(range(5))

    with_log(brokers, talk)
    assert sorted(brokers.values) == [b"%d" % one for one in range(5)]
    assert 2 <= brokers.made <= 4
    assert caplog.text.count("answers wait for the brokers") >= 1


def test_what_no_broker_takes_is_not_tried_for_ever() -> None:
    async def talk(log: AnswerLog) -> None:
        with pytest.raises(AnswerTooLarge):
            await log.append("asked", 3, b"k", b"x")

    with_log(Brokers([MessageSizeTooLargeError()]), talk)


def test_a_producer_that_does_not_stop_is_abandoned_and_holds_up_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_STOP_S", 0.001)
    brokers = Brokers([KafkaConnectionError()], hangs=True)

    async def talk(log: AnswerLog) -> None:
        await log.append("asked", 3, b"k", b"x")

    with_log(brokers, talk)
    assert brokers.values == [b"x"]
    assert brokers.abandoned == brokers.made == 2


def test_whoever_is_cancelled_beside_a_stop_leaves_no_producer_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_STOP_S", 0.001)
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 3_600.0)
    brokers = Brokers([KafkaConnectionError()], hangs=True)

    async def talk(log: AnswerLog) -> None:
        trying = asyncio.create_task(log.append("asked", 3, b"k", b"x"))
        await until(lambda: not brokers.fails)
        await asyncio.sleep(0)
        trying.cancel()
        await asyncio.wait({trying})

    with_log(brokers, talk)
    assert brokers.abandoned == 1


def test_a_producer_that_is_given_up_fails_what_waits_in_it_and_ends_its_sender() -> None:
    async def talk() -> None:
        producer = idempotent_producer({"bootstrap_servers": "127.0.0.1:1"})
        assert isinstance(producer, AIOKafkaProducer)
        # As when it was started, and its broker froze.
        sending = asyncio.create_task(asyncio.Event().wait())
        producer._sender._sender_task = sending
        place = TopicPartition("asked", 3)
        waits = await producer._message_accumulator.add_message(place, b"k", b"x", 1.0)
        stopping = asyncio.create_task(producer.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait({stopping})
        assert not waits.done()
        await producer.abandon()
        assert isinstance(waits.exception(), KafkaConnectionError)
        assert sending.cancelled()

    asyncio.run(talk())


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
