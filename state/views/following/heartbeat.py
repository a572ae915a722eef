"""Asks the brokers where a topic ends, and whether it is still the same topic.

An idle topic stays fresh because an answered end that was read already says: nothing is missing.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from state.kafka.ends import END, listed
from state.kafka.freshness import Freshness, LogShortened
from state.kafka.open_transactions import OpenTransactions

# One dead broker of several holds up the answer for all of them for this long.
ANSWER_TIMEOUT_S = 1.0
# While librdkafka seeks a broker that is dead it keeps a processor busy: after each failure in a
# row a heartbeat rests twice as long.
REST_NS_MIN = 500_000_000
REST_NS_MAX = 4_000_000_000
# How often the topic's identity is asked for, and after every failure.
IDENTITY_NS = 2_000_000_000
# Longest that a transaction may hide records before it is told: twice what the workers' own have.
HIDDEN_S_MAX = 30.0
# Apart by this much when callers ask for more than the interval gives.
APART_NS_MIN = 20_000_000


class TopicMissing(Exception):
    """The brokers do not have the topic.

    Operator action: `python -m scripts.create_topics`, or check the address of the brokers.
    """


class HeartbeatCounters(Protocol):
    """Questions for the end offsets, by their answer."""

    heartbeats: int
    heartbeats_failed: int


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """What stays the same while a topic does: deleted and created again, its id is another."""

    name: str
    topic_id: str
    partitions: int


def ask_identity(admin: AdminClient, topic: str) -> "Future[Any]":
    """Ask the brokers for a topic; read the answer with `identity_in`."""
    answers = admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_TIMEOUT_S)
    return answers[topic]


def identity_in(topic: str, answer: "Future[Any]") -> TopicIdentity:
    """Return what an answer tells. Raises TopicMissing, and KafkaException when there is none."""
    try:
        found = answer.result(timeout=0)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise TopicMissing(f"there is no topic {topic}; create it first") from error
        raise
    return TopicIdentity(topic, str(found.topic_id), len(found.partitions))


class Heartbeat:
    """One question at a time, `interval_ns` apart or as soon as somebody wants the next.

    connect:   returns another client like `admin`. One whose question failed is given up: it would
               go on asking the broker that it took for the controller, which may be dead for good.
    is_wanted: set by any thread to have the next question asked now.
    """

    def __init__(
        self,
        admin: AdminClient,
        connect: Callable[[], AdminClient],
        topic: TopicIdentity,
        interval_ns: int,
        clock_ns: Callable[[], int],
        counters: HeartbeatCounters,
    ) -> None:
        self.is_wanted = False
        self._admin = admin
        self._connect = connect
        self._topic = topic
        self._interval_ns = interval_ns
        self._clock_ns = clock_ns
        self._counters = counters
        self._asked_ns = clock_ns() - interval_ns
        self._rest_ns = REST_NS_MIN
        self._rests_until_ns = clock_ns()
        self._identified_ns = clock_ns()
        self._ends: Mapping[TopicPartition, Future[Any]] = {}
        self._identity: Future[Any] | None = None
        # The ends that count what open transactions hide, asked for beside the identity.
        self._hidden_ends: Mapping[TopicPartition, Future[Any]] = {}
        self._transactions = OpenTransactions()

    def step(self, partitions: Sequence[Freshness]) -> str | None:
        """Ask when it is time; note in `partitions` what was answered.

        Returns None while nothing was answered, then what was wrong or an empty string. Raises
        TopicMissing, and LogShortened for a topic that is another now.
        """
        if not self._ends:
            now_ns = self._clock_ns()
            apart_ns = APART_NS_MIN if self.is_wanted else self._interval_ns
            if now_ns >= max(self._asked_ns + apart_ns, self._rests_until_ns):
                self._ask()
            return None
        # Logs and errors of the client wait for this call.
        self._admin.poll(0)
        if not all(answer.done() for answer in self._ends.values()):
            return None
        if self._identity is not None and not self._identity.done():
            return None
        if not all(answer.done() for answer in self._hidden_ends.values()):
            return None
        return self._note(partitions)

    def _ask(self) -> None:
        self.is_wanted = False
        # Read before anything is sent: an answer tells about this moment or a later one.
        self._asked_ns = self._clock_ns()
        if self._asked_ns - self._identified_ns >= IDENTITY_NS:
            self._identity = ask_identity(self._admin, self._topic.name)
            self._hidden_ends = self._ask_ends(IsolationLevel.READ_UNCOMMITTED)
        # A committed record that another transaction still hides counts when it is shown.
        self._ends = self._ask_ends(IsolationLevel.READ_COMMITTED)

    def _ask_ends(self, isolation: IsolationLevel) -> "Mapping[TopicPartition, Future[Any]]":
        return self._admin.list_offsets(
            {
                TopicPartition(self._topic.name, number): END
                for number in range(self._topic.partitions)
            },
            isolation_level=isolation,
            request_timeout=ANSWER_TIMEOUT_S,
        )

    def _note(self, partitions: Sequence[Freshness]) -> str:
        ends, self._ends = self._ends, {}
        identity, self._identity = self._identity, None
        hidden_ends, self._hidden_ends = self._hidden_ends, {}
        trouble = ""
        try:
            if identity is not None:
                self._check(identity)
            for at, answer in ends.items():
                try:
                    partitions[at.partition].ends_at(listed(answer).offset, self._asked_ns)
                except KafkaException as error:
                    trouble = f"partition {at.partition}: {error.args[0]}"
        except KafkaException as error:
            trouble = str(error.args[0])
        if trouble:
            # What failed may have been a broker that came back without the topic.
            self._identified_ns = self._asked_ns - IDENTITY_NS
            self._counters.heartbeats_failed += 1
            self._admin = self._connect()
            self._rests_until_ns = self._clock_ns() + self._rest_ns
            self._rest_ns = min(2 * self._rest_ns, REST_NS_MAX)
        else:
            self._rest_ns = REST_NS_MIN
            self._counters.heartbeats += 1
        return trouble or self._told_of_hidden(ends, hidden_ends)

    def _told_of_hidden(
        self,
        stable: "Mapping[TopicPartition, Future[Any]]",
        ends: "Mapping[TopicPartition, Future[Any]]",
    ) -> str:
        """Return what is to be said of transactions that hide records for too long."""
        now_s = self._clock_ns() / 1e9
        known = {}
        for at, answer in ends.items():
            with suppress(KafkaException):
                # Asked before the stable ones: what was committed in between counts as shown.
                known[at.topic, at.partition] = listed(stable[at]).offset, listed(answer).offset
        self._transactions.note(known, now_s)
        found = self._transactions.open(now_s)
        hanging = [one.told(place) for place, one in found.items() if one.for_s > HIDDEN_S_MAX]
        return "; ".join(hanging)

    def _check(self, answer: "Future[Any]") -> None:
        now = identity_in(self._topic.name, answer)
        if now != self._topic:
            raise LogShortened(f"{self._topic} became {now}")
        self._identified_ns = self._asked_ns
