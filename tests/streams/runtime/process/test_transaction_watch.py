"""Transactions that nobody ends are seen in all that a worker reads and writes."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from support.workers.echo import CHANGELOG, DEAD, OUT, SOURCE, Echo

from streams.runtime.process.observer import Observer
from streams.runtime.process.transaction_watch import TransactionWatch


class Listed(NamedTuple):
    offset: int


class Brokers:
    """Answers for ends as librdkafka's admin client does.

    stable, ends: by (topic, partition); 0 where nothing else is said. silent: topics whose leader
    says nothing.
    """

    def __init__(self) -> None:
        self.stable: dict[tuple[str, int], int] = {}
        self.ends: dict[tuple[str, int], int] = {}
        self.silent: set[str] = set()
        self.is_away = False
        self.asked: set[tuple[str, int]] = set()

    def list_offsets(
        self,
        places: Iterable[TopicPartition],
        *,
        isolation_level: Any,
        request_timeout: float,  # noqa: ARG002
    ) -> Mapping[TopicPartition, Future[Listed]]:
        if self.is_away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        told = self.stable if isolation_level == IsolationLevel.READ_COMMITTED else self.ends
        answers = {}
        for at in places:
            self.asked.add((at.topic, at.partition))
            answer: Future[Listed] = Future()
            if at.topic in self.silent:
                answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
            else:
                answer.set_result(Listed(told.get((at.topic, at.partition), 0)))
            answers[at] = answer
        return answers


class Bench:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.brokers = Brokers()
        self.observer = Observer(30, open_s_max=30.0)
        route = Echo().route()
        self.watch = TransactionWatch({}, {SOURCE: route}, self.observer, lambda: self.now_s)
        self.watch._admin = self.brokers  # type: ignore[assignment]

    def look(self, *numbers: int) -> list[str]:
        """Take stock of these inputs; return the transactions that hang."""
        inputs = [(SOURCE, number) for number in numbers]
        asyncio.run(self.watch.look(inputs))
        hanging: list[str] = json.loads(self.observer.ready()[1])["hanging_transactions"]
        return hanging


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_all_that_is_read_and_written_is_looked_at(bench: Bench) -> None:
    bench.look(1, 2)
    assert bench.brokers.asked == {
        (topic, number) for topic in (SOURCE, OUT, CHANGELOG, DEAD) for number in (1, 2)
    }


def test_a_transaction_is_told_once_it_was_seen_open_for_too_long(bench: Bench) -> None:
    bench.brokers.stable[CHANGELOG, 1] = 5
    bench.brokers.ends[CHANGELOG, 1] = 9
    assert bench.look(1) == []
    bench.now_s = 31.0
    [told] = bench.look(1)
    assert "changelog-1: a transaction that began at offset 5" in told
    assert 'seatstream_hidden_records{topic="changelog"} 4.0' in (
        bench.observer.exposition().decode()
    )
    bench.brokers.stable[CHANGELOG, 1] = 9
    assert bench.look(1) == []


def test_another_transaction_at_each_look_is_no_hanging_one(bench: Bench) -> None:
    for at in range(5):
        bench.brokers.stable[OUT, 1] = at
        bench.brokers.ends[OUT, 1] = at + 1
        bench.now_s += 20.0
        assert bench.look(1) == []


@pytest.mark.parametrize("away", ["one topic", "all brokers"])
def test_no_answer_is_no_news_of_a_transaction(bench: Bench, away: str) -> None:
    bench.brokers.stable[OUT, 1] = 5
    bench.brokers.ends[OUT, 1] = 9
    bench.look(1)
    bench.now_s = 31.0
    assert len(bench.look(1)) == 1
    if away == "one topic":
        bench.brokers.silent = {OUT}
    else:
        bench.brokers.is_away = True
    bench.now_s = 40.0
    assert len(bench.look(1)) == 1


def test_partitions_that_went_to_another_worker_are_not_told_of_any_more(bench: Bench) -> None:
    bench.brokers.stable[OUT, 1] = 5
    bench.brokers.ends[OUT, 1] = 9
    bench.look(1, 2)
    bench.now_s = 31.0
    assert len(bench.look(1, 2)) == 1
    assert bench.look(2) == []
