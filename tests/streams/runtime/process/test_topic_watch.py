"""What becomes of topics under a running worker; the brokers are the test's."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import NamedTuple

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from streams.runtime.process.topic_watch import Look, TopicWatch

NOTHING = Look(frozenset(), frozenset(), {}, [])


class Described(NamedTuple):
    topic_id: str
    partitions: list[int]


class Listed(NamedTuple):
    offset: int


class Brokers:
    """Two topics of two partitions, as an admin client of librdkafka tells of them.

    ids: topic ids; one that is taken away is not there. counts: partitions. begins: first offsets.
    fails: what is answered for a topic instead.
    """

    def __init__(self) -> None:
        self.ids = {"in": "1", "status": "2"}
        self.counts = {"in": 2, "status": 2}
        self.begins: dict[tuple[str, int], int] = {}
        self.fails: dict[str, int] = {}

    def describe_topics(self, _: object, **__: object) -> Mapping[str, "Future[Described]"]:
        answers = {}
        for name in ("in", "status"):
            answer: Future[Described] = Future()
            if code := self.fails.get(name):
                answer.set_exception(KafkaException(KafkaError(code)))
            elif name not in self.ids:
                gone = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
                answer.set_exception(KafkaException(gone))
            else:
                answer.set_result(Described(self.ids[name], [0] * self.counts[name]))
            answers[name] = answer
        return answers

    def list_offsets(
        self, asked: Iterable[TopicPartition], **_: object
    ) -> Mapping[TopicPartition, "Future[Listed]"]:
        answers = {}
        for at in asked:
            answer: Future[Listed] = Future()
            if code := self.fails.get(at.topic):
                answer.set_exception(KafkaException(KafkaError(code)))
            else:
                answer.set_result(Listed(self.begins.get((at.topic, at.partition), 0)))
            answers[at] = answer
        return answers


class Bench:
    def __init__(self) -> None:
        self.brokers = Brokers()
        self.watch = TopicWatch(
            dict(self.brokers.ids), dict(self.brokers.counts), {}, retold=("status",)
        )
        self.watch._admin = self.brokers  # type: ignore[assignment]

    def look(self) -> Look:
        return self.watch.look()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_topics_that_stay_as_they_are_are_no_news(bench: Bench) -> None:
    assert [bench.look() for _ in range(3)] == [NOTHING] * 3


def test_a_topic_is_missing_once_it_was_not_there_twice(bench: Bench) -> None:
    # A broker that has not heard of a new topic yet says the same of it, once.
    del bench.brokers.ids["in"]
    assert [sorted(bench.look().missing) for _ in range(3)] == [[], ["in"], ["in"]]
    bench.brokers.ids["in"] = "1"
    assert bench.look() == NOTHING


def test_a_topic_that_was_created_anew_is_told_of_once(bench: Bench) -> None:
    bench.brokers.ids["status"] = "9"
    assert [sorted(bench.look().renewed) for _ in range(2)] == [["status"], []]


def test_partitions_that_were_added_are_told_of_with_their_number(bench: Bench) -> None:
    bench.brokers.counts["in"] = 3
    assert bench.look().counts == {"in": 3}


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_no_answer_is_no_news_of_a_topic(bench: Bench, code: int) -> None:
    bench.look()
    bench.brokers.fails = {"in": code, "status": code}
    assert [bench.look() for _ in range(3)] == [NOTHING] * 3


def test_records_that_were_removed_from_a_retold_topic_are_told_of_once(bench: Bench) -> None:
    bench.brokers.begins = {("status", 0): 5, ("in", 0): 5}
    # Where it began before the first look nobody knows.
    assert bench.look() == NOTHING
    bench.brokers.begins = {("status", 0): 7, ("in", 0): 7}
    assert [list(bench.look().shortened) for _ in range(2)] == [[("status", 0)], []]


def test_a_leader_that_was_not_heard_in_time_has_removed_nothing(bench: Bench) -> None:
    bench.brokers.begins = {("status", 0): 5}
    bench.look()
    # How librdkafka says so: without an error.
    bench.brokers.begins = dict.fromkeys([("status", 0), ("status", 1)], OFFSET_INVALID)
    assert bench.look() == NOTHING
    bench.brokers.begins = {("status", 0): 5}
    assert bench.look() == NOTHING
    bench.brokers.begins = {("status", 0): 6}
    assert list(bench.look().shortened) == [("status", 0)]


def test_a_retold_topic_that_was_created_anew_begins_again_and_lost_nothing_more(
    bench: Bench,
) -> None:
    bench.brokers.begins = {("status", 1): 5}
    bench.look()
    bench.brokers.ids["status"] = "9"
    bench.brokers.begins = {}
    told = bench.look()
    assert (sorted(told.renewed), list(told.shortened)) == (["status"], [])
