"""Reads one topic in a thread of its own and gives the records to a `Follower`.

Each process reads the whole topic. So the consumer assigns itself every partition, joins no group
and commits nothing.
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
from serdes.registry.known_ids import ContradictoryIdsError, IdLogUnavailableError, SchemaIdsError
from state.kafka.connections import ConnectionLog, none_is_left
from state.kafka.freshness import LogShortened
from state.kafka.refusals import Refusals
from state.kafka.timeline import Timeline
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

# How long the thread sleeps at most while nothing arrives. A heartbeat's answer waits so long to
# be noted, and `close` to end the thread.
POLL_S = 0.02
# How many records the thread takes at once, until the first reading is complete and after that. A
# look-up in another thread may have to wait for them.
RECORDS_AT_START = 5_000
RECORDS_AT_ONCE = 500
RETRY_S = 1.0
# The brokers may have come and gone unnoticed while the thread slept for longer than this.
ASLEEP_NS = 2_000_000_000
# Time between two questions about what was read, while the brokers are away and nothing arrives.
DOUBT_APART_NS = 1_000_000_000


class FeedCounters(HeartbeatCounters, Protocol):
    """What a feed counts; only its thread writes here.

    read_errors: errors that the consumer reported, such as a lost broker.
    """

    read_errors: int


ReadingT = TypeVar("ReadingT", bound=Reading)


class Follower(Protocol[ReadingT]):
    """The view that a feed reads for. The feed's thread calls all methods; none may block.

    trouble: why the feed cannot follow the topic now; empty while it can.
    """

    @property
    def trouble(self) -> str: ...

    @property
    def counters(self) -> FeedCounters: ...

    def new_reading(self, partitions: int, topic_id: str) -> ReadingT:
        """Return an empty reading, for the feed begins to read the topic from its start.

        topic_id: the brokers' id of the topic; a topic that is created again has another one.
        """

    def take(self, reading: ReadingT, records: Sequence[Message]) -> Sequence[Any]:
        """Take records into the reading; return what they changed. Never raises on bad bytes."""

    def changed(self, reading: ReadingT, changes: Sequence[Any]) -> None:
        """Tell others what `take` returned. The reading's positions include those records."""

    def publish(self, reading: ReadingT) -> None:
        """Answer look-ups from this reading from now on, since it is complete."""

    def refreshed(self) -> None:
        """Note that a heartbeat was answered."""

    def troubled(self, trouble: str) -> None:
        """Note why the feed cannot follow the topic; an empty string when it can again."""


# Returns the offset of each partition where the feed begins. May block for a few seconds; raises
# KafkaException.
Starts = Callable[[AdminClient, TopicIdentity], Sequence[TopicPartition]]


def from_the_beginning(_: AdminClient, topic: TopicIdentity) -> Sequence[TopicPartition]:
    """Return the first offset that the brokers still have, of every partition."""
    return [
        TopicPartition(topic.name, number, OFFSET_BEGINNING) for number in range(topic.partitions)
    ]


def client_options(brokers: str, name: str, extra: KafkaOptions) -> dict[str, Any]:
    """Return the options of librdkafka that the admin client and the consumer share.

    name: part of the client id that the brokers see.
    """
    return {
        "bootstrap.servers": brokers,
        "client.id": f"seatstream-{name}",
        "allow.auto.create.topics": False,
        # By default librdkafka waits up to 10 s between attempts: answers would be too old.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        # The client gives up a frozen broker before answers become stale because of that broker.
        "socket.timeout.ms": 4_000,
        "socket.keepalive.enable": True,
        **extra,
    }


def reader_options(brokers: str, name: str, extra: KafkaOptions) -> dict[str, Any]:
    """Return all options of the consumer."""
    return {
        **client_options(brokers, name, extra),
        # librdkafka demands a group id of every consumer; nobody ever joins this group.
        "group.id": f"{name}-{uuid4().hex[:8]}",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        # A transaction ends with a marker, which is no record. Only this event tells that the
        # consumer has passed the last marker, and so has reached the end.
        "enable.partition.eof": True,
        # While no record follows a marker, the consumer notices it after this time at most.
        "fetch.wait.max.ms": 100,
        # Bounds the records that are fetched and not yet taken; the default is 64 MB.
        "queued.max.messages.kbytes": 16 * 1024,
        # A partition whose fetch found that queue full waits so long before it fetches again. With
        # the default of a second the queue runs empty while the thread reads a large topic.
        "fetch.queue.backoff.ms": 20,
        # A consumer without a group has nothing to lose by a pause, so a long one is no error.
        "max.poll.interval.ms": 86_400_000,
    }


class BroadcastFeed(Generic[ReadingT]):
    """The thread that reads the topic, from `start` to `close`.

    name:    name of the thread, and of its clients at the brokers.
    confirm: the thread calls it before each reading of the topic, to make sure of the schema ids;
             may block for some seconds; may raise IdLogUnavailableError or SchemaIdsError.
    missing: the error while the brokers do not have the topic, else None.
    failure: the error that ended the thread, which is a bug; None while the thread runs.
    news:    set whenever `missing`, `failure` or the view's readiness may have changed.
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
        self._awake_ns = self._doubted_ns = 0
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
        """Wait until `is_ready`, which is asked again with all `news`; return whether it is.

        Returns False after `timeout_s`, or as soon as the thread has failed or `close` was called.
        Raises TopicMissing as soon as the brokers do not have the topic.
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
        """Have the thread send the next heartbeat now."""
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
        """Read the topic from its start and tail it; return after `close` was called."""
        self._refusals = Refusals()
        admin = self._connect()
        topic = self._identity(admin)
        if topic is None:
            return
        # Schema ids must be certain before the first record is decoded. But `confirm` blocks, and
        # without brokers it would keep `close` waiting: so it comes after the brokers' answer.
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
                    # `consume` alone would wait for the full number of records or its timeout.
                    records = RECORDS_AT_ONCE if reading.is_published else RECORDS_AT_START
                    messages = [first, *consumer.consume(records, 0)]
                if self._may_have_missed(arrived=bool(messages)):
                    # The timeline must doubt before it gets records of the next connection.
                    timeline.doubt()
                if messages or timeline.is_in_doubt:
                    self._take(reading, timeline.sure(messages))
                trouble = heartbeat.step(reading.partitions)
                if trouble is not None:
                    # The brokers that answer after a trouble may be others, with other records.
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
        self._doubted_ns = self._awake_ns - DOUBT_APART_NS
        options = reader_options(self._brokers, self._name, self._kafka)
        return Consumer(
            {**options, "error_cb": self._complain}, logger=ConnectionLog(log, self._lost)
        )

    def _complain(self, error: KafkaError) -> None:
        if none_is_left(error):
            self._lost()

    def _lost(self) -> None:
        self._has_lost = True

    def _may_have_missed(self, *, arrived: bool) -> bool:
        """Say whether the brokers may have been away since this was last said.

        arrived: records have come. Without any, brokers that stay away are asked about only now
                 and then.
        """
        now_ns, former_ns = self._clock_ns(), self._awake_ns
        self._awake_ns = now_ns
        # A process that slept finds its connections unbroken, whatever the brokers did meanwhile.
        self._has_lost = self._has_lost or now_ns - former_ns > ASLEEP_NS
        if not self._has_lost or not (arrived or now_ns >= self._doubted_ns + DOUBT_APART_NS):
            return False
        self._has_lost, self._doubted_ns = False, now_ns
        return True

    def _checker(self) -> Consumer:
        options = reader_options(self._brokers, f"{self._name}-check", self._kafka)
        # The timeline wants one record of each partition, so the consumer reads little ahead.
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
        # After `take`: another thread that sees a position finds all records before it.
        for partition, position in position_by_partition.items():
            reading.partitions[partition].reached(position)
        if changes:
            self._follower.changed(reading, changes)

    def _troubled(self, trouble: str) -> None:
        """Tell the follower of a trouble, and log a trouble that is new."""
        if trouble and trouble != self._follower.trouble:
            log.warning("cannot follow %s: %s", self._topic, trouble)
        self._follower.troubled(trouble)
