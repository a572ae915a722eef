"""Follows section-status in a thread of its own and tells what it reads to `SectionStatuses`.

Every partition is assigned, nothing is committed and no group is joined: each process reads all.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any
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

from state.stores.freshness import LogShortened
from state.stores.section_statuses import SectionStatuses
from state.stores.status_contents import Contents
from state.stores.status_heartbeat import (
    Heartbeat,
    TopicIdentity,
    TopicMissing,
    ask_identity,
    identity_in,
)

log = logging.getLogger(__name__)

# How long the thread sleeps at most while nothing arrives: answers and `close` wait for it.
POLL_S = 0.02
# Records taken at once, while loading and after: a look-up in another thread may wait for them.
RECORDS_AT_START = 5_000
RECORDS_AT_ONCE = 500
RETRY_S = 1.0

KafkaOptions = Mapping[str, str | int | float | bool]


def client_options(brokers: str, extra: KafkaOptions) -> dict[str, Any]:
    """Return what both clients need."""
    return {
        "bootstrap.servers": brokers,
        "client.id": "seatstream-availability-view",
        "allow.auto.create.topics": False,
        # librdkafka backs off to 10 s: too long for an age of 5 s.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        # A frozen broker is given up before answers become stale because of it.
        "socket.timeout.ms": 4_000,
        "socket.keepalive.enable": True,
        **extra,
    }


def reader_options(brokers: str, extra: KafkaOptions) -> dict[str, Any]:
    """Return what the consumer needs on top."""
    return {
        **client_options(brokers, extra),
        # A group's name is demanded of every consumer; nobody ever joins this one.
        "group.id": f"availability-view-{uuid4().hex[:8]}",
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
        # Not a member of a group: whoever was paused for minutes simply goes on.
        "max.poll.interval.ms": 86_400_000,
    }


class StatusFeed:
    """The thread, from `start` to `close`.

    missing: the error where the brokers do not have the topic, else None.
    failure: what ended the thread, a bug; None while it runs.
    news:    set whenever one of these or readiness may have changed.
    """

    def __init__(
        self,
        brokers: str,
        topic: str,
        statuses: SectionStatuses,
        *,
        heartbeat_ms: int,
        kafka: KafkaOptions,
        clock_ns: Callable[[], int],
    ) -> None:
        self.missing: TopicMissing | None = None
        self.failure: BaseException | None = None
        self.news = threading.Event()
        self._brokers = brokers
        self._topic = topic
        self._statuses = statuses
        self._heartbeat_ns = heartbeat_ms * 1_000_000
        self._kafka = kafka
        self._clock_ns = clock_ns
        self._heartbeat: Heartbeat | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="availability-view", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread and its connections; safe to repeat, and before `start`."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    def refresh(self) -> None:
        """Have the next heartbeat sent now."""
        if self._heartbeat is not None:
            self._heartbeat.is_wanted = True

    def _run(self) -> None:
        try:
            admin = AdminClient(client_options(self._brokers, self._kafka), logger=log)
            while not self._closing.is_set():
                self._follow_or_say_why(admin)
        except BaseException as error:
            self.failure = error
            self._statuses.troubled(f"ended: {type(error).__name__}: {error}")
            raise
        finally:
            self.news.set()

    def _follow_or_say_why(self, admin: AdminClient) -> None:
        try:
            self._follow(admin)
        except LogShortened as error:
            log.warning("reading %s anew: %s", self._topic, error)
        except (TopicMissing, KafkaException) as error:
            if not self._closing.is_set():
                self.missing = error if isinstance(error, TopicMissing) else None
                self._troubled(str(error))
                self.news.set()
                self._closing.wait(RETRY_S)
        finally:
            self._heartbeat = None

    def _follow(self, admin: AdminClient) -> None:
        """Read the topic from its beginning and tail it; return when closing."""
        topic = self._identity(admin)
        if topic is None:
            return
        self.missing = None
        contents = self._statuses.new_reading(topic.partitions, topic.topic_id)
        self._heartbeat = heartbeat = Heartbeat(
            admin, topic, self._heartbeat_ns, self._clock_ns, self._statuses.counters
        )
        consumer = Consumer(reader_options(self._brokers, self._kafka), logger=log)
        try:
            consumer.assign(
                [
                    TopicPartition(topic.name, number, OFFSET_BEGINNING)
                    for number in range(topic.partitions)
                ]
            )
            while not self._closing.is_set():
                first = consumer.poll(POLL_S)
                if first is not None:
                    # `consume` alone would wait for its full number or its whole timeout.
                    records = RECORDS_AT_ONCE if contents.is_published else RECORDS_AT_START
                    self._take(contents, [first, *consumer.consume(records, 0)])
                trouble = heartbeat.step(contents)
                if trouble is not None:
                    self._troubled(trouble)
                    self._statuses.refreshed()
                if not contents.is_published and contents.is_complete():
                    self._statuses.publish(contents)
                    self.news.set()
        finally:
            consumer.close()

    def _identity(self, admin: AdminClient) -> TopicIdentity | None:
        answer: Future[Any] = ask_identity(admin, self._topic)
        while not answer.done():
            admin.poll(0)
            if self._closing.wait(POLL_S):
                return None
        return identity_in(self._topic, answer)

    def _take(self, contents: Contents, messages: list[Message]) -> None:
        changes = []
        position_by_partition: dict[int, int] = {}
        for message in messages:
            partition, offset = message.partition(), message.offset()
            error = message.error()
            if error is None:
                assert partition is not None
                assert offset is not None
                # The client gives a consumer's headers as a list of pairs, whatever its hints say.
                headers: Any = message.headers() or ()
                change = contents.apply(partition, offset, message.key(), message.value(), headers)
                if change is not None:
                    changes.append(change)
                position_by_partition[partition] = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (its public name)
                assert partition is not None
                assert offset is not None
                position_by_partition[partition] = offset
            else:
                self._statuses.counters.read_errors += 1
                self._troubled(str(error))
                if error.fatal():
                    raise KafkaException(error)
        for partition, position in position_by_partition.items():
            contents.partitions[partition].reached(position)
        self._statuses.changed(contents, changes)

    def _troubled(self, trouble: str) -> None:
        """Note it, and log it when it is another than before."""
        if trouble and trouble != self._statuses.trouble:
            log.warning("cannot follow %s: %s", self._topic, trouble)
        self._statuses.troubled(trouble)
