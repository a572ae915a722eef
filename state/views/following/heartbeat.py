"""Asks the brokers where a topic ends, and whether it is still the same topic.

The age of an idle topic's copy stays low by this: where the brokers' end offset is one that was
read already, no record is missing.
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

# One dead broker holds up the answer about the partitions of all brokers for this long.
ANSWER_TIMEOUT_S = 1.0
# librdkafka keeps a processor busy while it looks for a dead broker. So the pause before the next
# heartbeat doubles with each failure in a row.
REST_NS_MIN = 500_000_000
REST_NS_MAX = 4_000_000_000
# Time between two questions for the topic's identity. After a failure the next heartbeat asks.
IDENTITY_NS = 2_000_000_000
# A transaction that hides records for longer than this is a trouble. The workers' own transactions
# may take half of this.
HIDDEN_S_MAX = 30.0
# Least time between two heartbeats that callers demand.
APART_NS_MIN = 20_000_000


class TopicMissing(Exception):
    """The brokers do not have the topic.

    Operator action: `python -m scripts.create_topics`, or check the address of the brokers.
    """


class HeartbeatCounters(Protocol):
    """How many questions for the end offsets the brokers answered, and how many failed."""

    heartbeats: int
    heartbeats_failed: int


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """What tells one topic from another. A topic that is created again has a new id."""

    name: str
    topic_id: str
    partitions: int


def ask_identity(admin: AdminClient, topic: str) -> "Future[Any]":
    """Ask the brokers for a topic; read the answer with `identity_in`."""
    answers = admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_TIMEOUT_S)
    return answers[topic]


def identity_in(topic: str, answer: "Future[Any]") -> TopicIdentity:
    """Return the identity that the brokers answered.

    Raises TopicMissing, and KafkaException where the brokers did not answer.
    """
    try:
        found = answer.result(timeout=0)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise TopicMissing(f"there is no topic {topic}; create it first") from error
        raise
    return TopicIdentity(topic, str(found.topic_id), len(found.partitions))


class Heartbeat:
    """Asks the brokers one question at a time, every `interval_ns` or when a caller wants it.

    connect:   returns another client like `admin`, to replace one whose question failed. That
               client would go on asking a former controller, which may be dead for good.
    is_wanted: any thread may set it, to have the next question asked now.
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
        self._admin = admin
        self._connect = connect
        self._topic = topic
        self._asked_ns = clock_ns() - interval_ns
        self._interval_ns = interval_ns
        self._clock_ns = clock_ns
        self._counters = counters
        self.is_wanted = False
        self._rest_ns = REST_NS_MIN
        self._rests_until_ns = clock_ns()
        self._identified_ns = clock_ns()
        self._ends: Mapping[TopicPartition, Future[Any]] = {}
        self._identity: Future[Any] | None = None
        # End offsets behind the records of open transactions, asked for along with the identity.
        self._hidden_ends: Mapping[TopicPartition, Future[Any]] = {}
        self._transactions = OpenTransactions()

    def step(self, partitions: Sequence[Freshness]) -> str | None:
        """Ask when it is time; note the answered end offsets in `partitions`.

        Returns None while no answer is complete; with an answer, what is wrong, or an empty
        string. Raises TopicMissing, and LogShortened where the topic was created again.
        """
        if not self._ends:
            now_ns = self._clock_ns()
            apart_ns = APART_NS_MIN if self.is_wanted else self._interval_ns
            if now_ns >= max(self._asked_ns + apart_ns, self._rests_until_ns):
                self._ask()
            return None
        # The client delivers its logs and errors within this call only.
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
        # The clock is read before the questions are sent: an answer is not older than this moment.
        self._asked_ns = self._clock_ns()
        if self._asked_ns - self._identified_ns >= IDENTITY_NS:
            self._identity = ask_identity(self._admin, self._topic.name)
            self._hidden_ends = self._ask_ends(IsolationLevel.READ_UNCOMMITTED)
        # READ_COMMITTED: a record is owed to callers only once no open transaction hides it.
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
            # The failure may be a broker that restarts without the topic: ask for its identity.
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
        """Name the transactions that have hidden records for too long; "" where there is none."""
        now_s = self._clock_ns() / 1e9
        known = {}
        for at, answer in ends.items():
            with suppress(KafkaException):
                # These ends were asked for before the stable ones. So a transaction that committed
                # between the two questions does not look open.
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
