"""Questions for the ends of a topic: what a failed one costs, and what is no answer."""

from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from state.stores.freshness import Freshness
from state.stores.topic_heartbeat import REST_NS, Heartbeat, TopicIdentity

TIMED_OUT = KafkaException(KafkaError(KafkaError._TIMED_OUT))
INTERVAL_NS = 200_000_000


class Client:
    """Answers offset questions of partition 0 as an admin client does."""

    def __init__(self, answer: int | KafkaException) -> None:
        self._answer = answer

    def list_offsets(
        self, specs: Mapping[TopicPartition, Any], **_: Any
    ) -> dict[TopicPartition, "Future[Any]"]:
        answered: Future[Any] = Future()
        if isinstance(self._answer, KafkaException):
            answered.set_exception(self._answer)
        else:
            answered.set_result(SimpleNamespace(offset=self._answer))
        return dict.fromkeys(specs, answered)

    def describe_topics(self, topics: Any, **_: Any) -> dict[str, "Future[Any]"]:
        (name,) = topics.topic_names
        answered: Future[Any] = Future()
        answered.set_result(SimpleNamespace(topic_id="id", partitions=[0]))
        return {name: answered}

    def poll(self, _: float) -> int:
        return 0


class Case:
    """A heartbeat whose clients give these answers, one after another."""

    def __init__(self, *answers: int | KafkaException) -> None:
        self.now_ns = 10**12
        self.heartbeats = self.heartbeats_failed = 0
        self.partition = Freshness(0, 0)
        self._clients: Any = iter([Client(answer) for answer in answers])
        self._heartbeat = Heartbeat(
            next(self._clients),  # type: ignore[arg-type]
            lambda: next(self._clients),
            TopicIdentity("t", "id", 1),
            INTERVAL_NS,
            lambda: self.now_ns,
            self,
        )

    def step(self) -> str | None:
        return self._heartbeat.step([self.partition])


@pytest.mark.parametrize("bad", [TIMED_OUT, -1001], ids=["no answer", "an end that is none"])
def test_a_failed_question_is_asked_again_by_another_client_after_a_rest(
    bad: int | KafkaException,
) -> None:
    case = Case(bad, 7)
    case.partition.reached(7)
    assert case.step() is None
    trouble = case.step()
    assert trouble is not None
    assert trouble.startswith("partition 0: ")
    case.now_ns += REST_NS - 1
    assert [case.step(), case.step()] == [None, None]
    assert (case.heartbeats, case.heartbeats_failed) == (0, 1)
    case.now_ns += 1
    assert [case.step(), case.step()] == [None, ""]
    assert (case.heartbeats, case.heartbeats_failed) == (1, 1)
    assert case.partition.known_ns == case.now_ns


def test_questions_are_an_interval_apart() -> None:
    case = Case(7)
    assert [case.step(), case.step(), case.step()] == [None, "", None]
    case.now_ns += INTERVAL_NS
    assert [case.step(), case.step()] == [None, ""]
    assert case.heartbeats == 2
