"""Questions for the ends of a topic: what a failed one costs, and what is no answer."""

from collections.abc import Mapping
from concurrent.futures import Future
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import (
    OFFSET_INVALID,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from state.kafka.freshness import Freshness
from state.views.following.heartbeat import (
    APART_NS_MIN,
    HIDDEN_S_MAX,
    IDENTITY_NS,
    REST_NS_MAX,
    REST_NS_MIN,
    Heartbeat,
    TopicIdentity,
)

TIMED_OUT = KafkaException(KafkaError(KafkaError._TIMED_OUT))
INTERVAL_NS = 200_000_000


class Client:
    """Answers offset questions of partition 0 as an admin client does; the last answer stays.

    end: of the partition, with what open transactions hide.
    """

    end = 7

    def __init__(self, answers: list[int | KafkaException]) -> None:
        self._answers = answers

    def list_offsets(
        self,
        specs: Mapping[TopicPartition, Any],
        isolation_level: IsolationLevel,
        **_: Any,
    ) -> dict[TopicPartition, "Future[Any]"]:
        answered: Future[Any] = Future()
        if isolation_level == IsolationLevel.READ_UNCOMMITTED:
            answered.set_result(SimpleNamespace(offset=self.end))
            return dict.fromkeys(specs, answered)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, KafkaException):
            answered.set_exception(answer)
        else:
            answered.set_result(SimpleNamespace(offset=answer))
        return dict.fromkeys(specs, answered)

    def describe_topics(self, topics: Any, **_: Any) -> dict[str, "Future[Any]"]:
        (name,) = topics.topic_names
        answered: Future[Any] = Future()
        answered.set_result(SimpleNamespace(topic_id="id", partitions=[0]))
        return {name: answered}

    def poll(self, _: float) -> int:
        return 0


class Case:
    """A heartbeat whose questions get these answers, one after another."""

    def __init__(self, *answers: int | KafkaException) -> None:
        self.now_ns = 10**12
        self.heartbeats = self.heartbeats_failed = 0
        self.partition = Freshness(0, 0)
        self.connected = 0
        self._answers = list(answers)
        self._heartbeat = Heartbeat(
            self.connect(),
            self.connect,
            TopicIdentity("t", "id", 1),
            INTERVAL_NS,
            lambda: self.now_ns,
            self,
        )

    def connect(self) -> Any:
        self.connected += 1
        return Client(self._answers)

    def want(self) -> None:
        self._heartbeat.is_wanted = True

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
    case.now_ns += REST_NS_MIN - 1
    assert [case.step(), case.step()] == [None, None]
    assert (case.heartbeats, case.heartbeats_failed) == (0, 1)
    case.now_ns += 1
    assert [case.step(), case.step()] == [None, ""]
    assert (case.heartbeats, case.heartbeats_failed, case.connected) == (1, 1, 2)
    assert case.partition.known_ns == case.now_ns


def test_rests_grow_while_questions_fail_and_are_short_again_after_an_answer() -> None:
    case = Case(*[TIMED_OUT] * 6, 7, TIMED_OUT, 7)
    asked = []
    while case.heartbeats < 2:
        case.step()
        if case.step() is not None:
            asked.append(case.now_ns)
        case.now_ns += REST_NS_MIN
    apart = [(after - before) // REST_NS_MIN for before, after in pairwise(asked)]
    assert apart == [1, 2, 4, 8, 8, 8, 1, 1]
    assert REST_NS_MAX == 8 * REST_NS_MIN


def test_questions_are_an_interval_apart() -> None:
    case = Case(7)
    assert [case.step(), case.step(), case.step()] == [None, "", None]
    case.now_ns += INTERVAL_NS
    assert [case.step(), case.step()] == [None, ""]
    assert case.heartbeats == 2


def test_s8_however_many_want_an_answer_one_question_serves_them_all() -> None:
    """A stranger who asks for what is not there costs the brokers fifty questions a second."""
    case = Case(7)
    case.partition.reached(7)
    second_ns = case.now_ns + 1_000_000_000
    while case.now_ns < second_ns:
        case.want()
        case.step()
        case.now_ns += APART_NS_MIN // 20
    assert 40 <= case.heartbeats <= 51


def test_s4_a_transaction_that_hides_records_for_too_long_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case(7)
    case.partition.reached(7)

    def told_until(seconds: float) -> set[str | None]:
        until_ns = case.now_ns + int(seconds * 1e9)
        told = set()
        while case.now_ns < until_ns:
            told.add(case.step())
            case.now_ns += IDENTITY_NS // 4
        return told - {None}

    assert told_until(2 * HIDDEN_S_MAX) == {""}
    monkeypatch.setattr(Client, "end", 12)
    assert told_until(HIDDEN_S_MAX - 5) == {""}
    told_until(10)
    (told,) = told_until(3)
    assert told is not None
    assert "t-0: a transaction that began at offset 7 stays open" in told
    # Of a leader that is not heard nothing is known: what was open is not taken for ended.
    monkeypatch.setattr(Client, "end", OFFSET_INVALID)
    told_until(5)
    (told,) = told_until(5)
    assert told is not None
    assert "at offset 7 stays open" in told
    monkeypatch.setattr(Client, "end", 7)
    told_until(5)
    assert told_until(5) == {""}
