"""Follows one topic in a thread of its own and tells what it reads to a `Follower`.

Every partition is assigned, nothing is committed and no group is joined: each process reads all.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from infra.process.kafka_security import KafkaOptions
from serdes.registry.known_ids import (
    ContradictoryIdsError,
    IdLogUnavailableError,
    SchemaIdsError,
)
from state.kafka.freshness import LogShortened
from state.kafka.refusals import Refusals
from state.kafka.timeline import Timeline, is_loss
from state.views.following.heartbeat import (
    Heartbeat,
    HeartbeatCounters,
    TopicIdentity,
    TopicMissing,
    ask_identity,
    identity_in,
)
from state.views.following.reading import Reading

log = logging.getLogger(__name__)

# How long the thread sleeps at most while nothing arrives: answers and `close` wait for it.
POLL_S = 0.02
# Records taken at once, while loading and after: a look-up in another thread may wait for them.
RECORDS_AT_START = 5_000
RECORDS_AT_ONCE = 500
RETRY_S = 1.0
# A thread that comes back after so long may have slept while brokers came and went.
ASLEEP_NS = 2_000_000_000


class FeedCounters(HeartbeatCounters, Protocol):
    """What a feed counts; only its thread writes here.

    read_errors: errors that the consumer reported, such as a broker gone.
    """

    read_errors: int


ReadingT = TypeVar("ReadingT", bound=Reading)


class Follower(Protocol[ReadingT]):
    """Whom a feed tells; every method is called in its thread and must not block.

    trouble: why the topic cannot be followed now; empty while it can.
    """

    @property
    def trouble(self) -> str: ...

    @property
    def counters(self) -> FeedCounters: ...

    def new_reading(self, partitions: int, topic_id: str) -> ReadingT:
        """Return an empty reading: the topic is read anew.

        topic_id: another one for a topic that was deleted and created again.
        """

    def take(self, reading: ReadingT, records: Sequence[Message]) -> Sequence[Any]:
        """Take in records, none of them an error; return changes. Never raises on bad bytes."""

    def changed(self, reading: ReadingT, changes: Sequence[Any]) -> None:
        """Tell others what `take` returned; how far was read is noted by now."""

    def publish(self, reading: ReadingT) -> None:
        """Answer from this reading from now on: it is complete."""

    def refreshed(self) -> None:
        """Note that a heartbeat was answered."""

    def troubled(self, trouble: str) -> None:
        """Note why the topic cannot be followed; an empty string when it can."""


# Where to begin. May block for a few seconds; raises KafkaException.
Starts = Callable[[AdminClient, TopicIdentity], Sequence[TopicPartition]]


def from_the_beginning(_: AdminClient, topic: TopicIdentity) -> Sequence[TopicPartition]:
    """Return the first offset that is kept, for every partition."""
    return [
        TopicPartition(topic.name, number, OFFSET_BEGINNING) for number in range(topic.partitions)
    ]


def client_options(brokers: str, name: str, extra: KafkaOptions) -> dict[str, Any]:
    """Return what both clients need; `name` goes to the brokers."""
    return {
        "bootstrap.servers": brokers,
        "client.id": f"seatstream-{name}",
        "allow.auto.create.topics": False,
        # librdkafka backs off to 10 s: too long for an age of 5 s.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        # A frozen broker is given up before answers become stale because of it.
        "socket.timeout.ms": 4_000,
        "socket.keepalive.enable": True,
        **extra,
    }


def reader_options(brokers: str, name: str, extra: KafkaOptions) -> dict[str, Any]:
    """Return what the consumer needs on top."""
    return {
        **client_options(brokers, name, extra),
        # A group's name is demanded of every consumer; nobody ever joins this one.
        "group.id": f"{name}-{uuid4().hex[:8]}",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        # The end of a partition lies behind a transaction's marker, which is no record.
        "enable.partition.eof": True,
        # So long a marker may go unnoticed while nothing follows it.
        "fetch.wait.max.ms": 100,
        # Bounds what is fetched and not yet taken in; the default is 64 MB.
        "queued.max.messages.kbytes": 16 * 1024,
        # A partition whose fetch found that queue full rests so long; with the default, a second,
        # the thread runs dry while it reads what a topic in use has.
        "fetch.queue.backoff.ms": 20,
        # Not a member of a group: whoever was paused for minutes simply goes on.
        "max.poll.interval.ms": 86_400_000,
    }


class BroadcastFeed(Generic[ReadingT]):
    """The thread, from `start` to `close`.

    name:    of the thread, and of its clients at the brokers.
    confirm: called before the topic is read, in the thread, and again after trouble; may block for
             some seconds, and raise IdLogUnavailableError or SchemaIdsError.
    missing: the error where the brokers do not have the topic, else None.
    failure: what ended the thread, a bug; None while it runs.
    news:    set whenever one of these or readiness may have changed.
    """

    def __init__(
        self,
        brokers: str,
        topic: str,
        follower: Follower[ReadingT],
        *,
        name: str,
        heartbeat_ms: int,
        kafka: KafkaOptions,
        clock_ns: Callable[[], int],
        starts: Starts = from_the_beginning,
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        self.missing: TopicMissing | None = None
        self.failure: BaseException | None = None
        self.news = threading.Event()
        self._brokers = brokers
        self._topic = topic
        self._follower = follower
        self._name = name
        self._heartbeat_ns = heartbeat_ms * 1_000_000
        self._kafka = kafka
        self._refusals = Refusals()
        self._clock_ns = clock_ns
        self._starts = starts
        self._confirm = confirm
        self._heartbeat: Heartbeat | None = None
        self._has_lost = False
        self._awake_ns = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread and its connections; safe to repeat, and before `start`."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    def wait(self, is_ready: Callable[[], bool], timeout_s: float) -> bool:
        """Return True once something is ready that may become so with `news`.

        False after `timeout_s`, or when nothing is read any more. Raises TopicMissing at once.
        """
        deadline_ns = self._clock_ns() + int(timeout_s * 1e9)
        while not is_ready():
            self.news.clear()
            if self.missing is not None:
                raise TopicMissing(str(self.missing))
            left_ns = deadline_ns - self._clock_ns()
            if self.failure is not None or self._closing.is_set() or left_ns <= 0:
                return False
            if not is_ready():
                self.news.wait(left_ns / 1e9)
        return True

    def refresh(self) -> None:
        """Have the next heartbeat sent now."""
        if self._heartbeat is not None:
            self._heartbeat.is_wanted = True

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._follow_or_say_why()
        except BaseException as error:
            self.failure = error
            self._follower.troubled(f"ended: {type(error).__name__}: {error}")
            raise
        finally:
            self.news.set()

    def _follow_or_say_why(self) -> None:
        try:
            self._follow()
        except LogShortened as error:
            log.warning("reading %s anew: %s", self._topic, error)
        except ContradictoryIdsError:
            raise
        except (TopicMissing, SchemaIdsError, IdLogUnavailableError, KafkaException) as error:
            if not self._closing.is_set():
                self.missing = error if isinstance(error, TopicMissing) else None
                self._troubled(self._refusals.told_with(error))
                self.news.set()
                self._closing.wait(RETRY_S)
        finally:
            self._heartbeat = None

    def _connect(self) -> AdminClient:
        options = client_options(self._brokers, self._name, self._kafka)
        options["error_cb"] = self._refusals
        return AdminClient(options, logger=log)

    def _follow(self) -> None:
        """Read the topic from its start and tail it; return when closing."""
        self._refusals = Refusals()
        admin = self._connect()
        topic = self._identity(admin)
        if topic is None:
            return
        # Before the first record is read: what its id stands for must be certain. Not before the
        # brokers have answered: it blocks, and whoever is told to end must not wait for that.
        self._confirm()
        self.missing = None
        starts = self._starts(admin, topic)
        reading = self._follower.new_reading(topic.partitions, topic.topic_id)
        self._heartbeat = heartbeat = Heartbeat(
            admin,
            self._connect,
            topic,
            self._heartbeat_ns,
            self._clock_ns,
            self._follower.counters,
        )
        timeline, was_troubled = Timeline(self._topic, self._checker), False
        consumer = self._consumer()
        try:
            consumer.assign(list(starts))
            while not self._closing.is_set():
                first = consumer.poll(POLL_S)
                messages = []
                if first is not None:
                    # `consume` alone would wait for its full number or its whole timeout.
                    records = RECORDS_AT_ONCE if reading.is_published else RECORDS_AT_START
                    messages = [first, *consumer.consume(records, 0)]
                if self._may_have_missed():
                    # Told before anything that came over the next connection.
                    timeline.doubt()
                if messages or timeline.is_in_doubt:
                    self._take(reading, timeline.sure(messages))
                trouble = heartbeat.step(reading.partitions)
                if trouble is not None:
                    # Brokers that answer again may be others.
                    self._has_lost = self._has_lost or (was_troubled and not trouble)
                    was_troubled = bool(trouble)
                    self._troubled(trouble)
                    self._follower.refreshed()
                if not reading.is_published and reading.is_complete():
                    reading.is_published = True
                    self._follower.publish(reading)
                    self.news.set()
        finally:
            timeline.close()
            consumer.close()

    def _consumer(self) -> Consumer:
        self._has_lost, self._awake_ns = False, self._clock_ns()
        options = reader_options(self._brokers, self._name, self._kafka)
        return Consumer({**options, "error_cb": self._lost}, logger=log)

    def _lost(self, error: Any) -> None:
        self._has_lost = self._has_lost or is_loss(error)

    def _may_have_missed(self) -> bool:
        """Say whether the brokers may have been away since this was asked last."""
        now_ns, former_ns = self._clock_ns(), self._awake_ns
        self._awake_ns = now_ns
        has_lost, self._has_lost = self._has_lost, False
        # A process that slept finds connections as if nothing had been.
        return has_lost or now_ns - former_ns > ASLEEP_NS

    def _checker(self) -> Consumer:
        options = reader_options(self._brokers, f"{self._name}-check", self._kafka)
        # One record of each partition is wanted, and no more read ahead than comes with it.
        few = {"fetch.message.max.bytes": 1, "queued.max.messages.kbytes": 64}
        return Consumer({**options, **few}, logger=log)

    def _identity(self, admin: AdminClient) -> TopicIdentity | None:
        answer: Future[Any] = ask_identity(admin, self._topic)
        while not answer.done():
            admin.poll(0)
            if self._closing.wait(POLL_S):
                return None
        return identity_in(self._topic, answer)

    def _take(self, reading: ReadingT, messages: list[Message]) -> None:
        records = []
        position_by_partition: dict[int, int] = {}
        for message in messages:
            partition, offset = message.partition(), message.offset()
            error = message.error()
            if error is None:
                assert partition is not None
                assert offset is not None
                records.append(message)
                position_by_partition[partition] = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (its public name)
                assert partition is not None
                assert offset is not None
                position_by_partition[partition] = offset
            else:
                self._follower.counters.read_errors += 1
                self._troubled(str(error))
                if error.fatal():
                    raise KafkaException(error)
        changes = self._follower.take(reading, records) if records else ()
        # After the records: whoever sees the position finds what lies before it.
        for partition, position in position_by_partition.items():
            reading.partitions[partition].reached(position)
        if changes:
            self._follower.changed(reading, changes)

    def _troubled(self, trouble: str) -> None:
        """Note it, and log it when it is another than before."""
        if trouble and trouble != self._follower.trouble:
            log.warning("cannot follow %s: %s", self._topic, trouble)
        self._follower.troubled(trouble)
