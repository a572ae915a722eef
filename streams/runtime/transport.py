"""Batch transport: Faust hands its agent whole fetches of records instead of single records.

The consumer group, assignment, agents and the worker stay Faust's. Replaced are:

- one message per record, by one message per fetch: stock Faust spends 45-56 us on each message;
- the client library's object per record: handlers read the fields of the parsed record;
- the isolation level, by `read_committed`; and fetches that wait 1.5 s, by some of milliseconds;
- back-pressure that waits a second at a time, by one that waits until there is room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiokafka
import faust
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from infra.process.kafka_security import KafkaSecurity
from streams.runtime.assignor import TopicwiseStickyAssignor
from streams.runtime.fetch_answers import FAILING_S, FetchAnswers
from streams.runtime.fetch_pace import FetchPace
from streams.runtime.group import read_truthful_offsets
from streams.runtime.process.fatal import PartitionTrouble, end_process
from streams.runtime.slim_records import Stretch, read_slim_records

FETCH_MAX_WAIT_MS = 10
FETCH_MIN_BYTES = 64 << 10
"""A broker answers a fetch when it has this many bytes, or after FETCH_MAX_WAIT_MS with fewer,
while records flow; `fetch_pace` says what it does else.

With a lower bound, records that arrive one by one would be fetched one by one: under a steady load
of small records, broker and worker would spend more time on fetches than on all else, and records
would wait longer.
"""

_LEAVE_S = 3.0

_FETCH_ROUND_S = 0.25
"""Seconds that a round of fetching waits for records; a takeover waits until the round ends."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive records of one partition, as fetched; never empty."""

    topic: str
    partition: int
    records: Stretch


@dataclass(frozen=True, slots=True)
class Fetch:
    """Everything that one round of fetching brought for one topic.

    intake: by topic and partition, the input partition for which its records were fetched; no
            other one may take them.
    """

    slices: tuple[Slice, ...]
    intake: Mapping[tuple[str, int], object]


class RawFetchSchema(Schema):
    """Lets a `Fetch` pass through Faust's topic as it is."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:  # noqa: ARG002
        return message.value


def concerned_by(error: KafkaError, partitions: AbstractSet[TP]) -> AbstractSet[TP]:
    """Return the partitions that an error of the fetcher names, or whose topic it names."""
    named: set[Any] = set()
    for argument in error.args:
        named.update(argument if isinstance(argument, dict) else [argument])
    return {tp for tp in partitions if tp in named or tp.topic in named}


def credentials_of(security: KafkaSecurity) -> faust.auth.Credentials | None:
    """Return the settings in Faust's form, from which it makes aiokafka's options."""
    context = security.ssl_context() if security.uses_tls else None
    if security.uses_sasl:
        return faust.SASLCredentials(
            username=security.username,
            password=security.password,
            ssl_context=context,
            mechanism=security.mechanism,
        )
    return faust.SSLCredentials(context) if context is not None else None


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread around a consumer with our isolation level and waits."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        read_slim_records()
        read_truthful_offsets()
        conf = self.app.conf
        # Faust's own version of this method sets it, and its other methods read it.
        self._assignor = TopicwiseStickyAssignor
        consumer = aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[TopicwiseStickyAssignor],
            enable_auto_commit=False,
            # A committed offset outside the log must stop the worker, never move it.
            auto_offset_reset="none",
            isolation_level="read_committed",
            # In effect off: our watchdog ends a stalled worker, and aiokafka would not see that
            # this worker is active.
            max_poll_interval_ms=24 * 3600 * 1000,
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            fetch_min_bytes=FETCH_MIN_BYTES,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )
        FetchPace().listen_to(consumer._client)
        self.consumer.answers.listen_to(consumer._client)
        return consumer

    def ask_for(self, tps: Iterable[TP], is_wanted: bool) -> None:
        """Have the client fetch these partitions, or no longer; may be called in any thread."""
        wanted = [TopicPartition(*tp) for tp in tps]

        def set_all() -> None:
            consumer = self._ensure_consumer()
            for tp in wanted:
                # The group may have taken the partition away meanwhile.
                with suppress(IllegalStateError):
                    (consumer.resume if is_wanted else consumer.pause)(tp)

        # The thread's event loop is closed once the worker has left the group.
        with suppress(RuntimeError):
            self.thread_loop.call_soon_threadsafe(set_all)

    async def on_thread_stop(self) -> None:
        """Leave the group, and wait only briefly for the brokers to close their connections.

        Over TLS, brokers were seen to take more than 15 s for that.
        """
        try:
            async with asyncio.timeout(_LEAVE_S):
                await super().on_thread_stop()
        except TimeoutError:
            self.log.warning(
                "brokers did not close their connections within %.0f s: leaving without", _LEAVE_S
            )


class BatchConsumer(driver.Consumer):
    """Delivers fetches; takes no acknowledgements and commits nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._partitions_changed = asyncio.Event()
        # Half of the lag's limit at most: a lag without progress ends the worker, so a partition
        # that cannot be read has to be set aside before.
        self.answers = FetchAnswers(min(FAILING_S, self.app.worker_settings.stall_s / 2))

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def forget_fetches(self) -> None:
        """Stop fetching and wait until no fetch is under way; called before a seek.

        A fetch under way during a seek would move the position away from where it was just set,
        and deliver records from the former position.
        """
        self.stop_flow()
        await self.wait_for_stopped_flow()

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch these partitions no longer; Faust alone would fetch and drop their records."""
        super().pause_partitions(tps)
        self._thread.ask_for(tps, False)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        super().resume_partitions(tps)
        self._thread.ask_for(tps, True)
        self._partitions_changed.set()

    def resume_flow(self) -> None:
        super().resume_flow()
        self._partitions_changed.set()

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch and deliver until either service stops; Faust's Fetcher runs this."""
        has_room: Callable[[], Any] = self.app.has_room
        stopped, fetcher_stopped = self._stopped.is_set, fetcher._stopped.is_set
        try:
            while not (stopped() or fetcher_stopped()):
                if not await self._may_fetch():
                    continue
                await has_room()
                intake = self.app.intake()
                # A copy, since the set changes during a fetch; and the fetcher takes an empty set
                # for all partitions.
                partitions = frozenset(self._get_active_partitions())
                if intake is None or not partitions:
                    continue
                self.not_waiting_next_records.clear()
                try:
                    records = await self._read(partitions)
                finally:
                    self.not_waiting_next_records.set()
                await self._deliver(records, intake)
        except asyncio.CancelledError:
            # While partitions change hands, Faust's Fetcher would take this for a crash, although
            # it has been told to stop.
            if not fetcher_stopped():
                raise
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except Exception as error:  # noqa: BLE001  (whatever it is, the input cannot be read)
            end_process(f"the input cannot be read: {error!r}", error)

    async def _read(self, partitions: AbstractSet[TP]) -> Mapping[TP, Stretch]:
        """Fetch from these partitions; those that cannot be read are set aside."""
        began = time.monotonic()
        try:
            records: Mapping[TP, Stretch] = await self._getmany(
                active_partitions=partitions, timeout=_FETCH_ROUND_S
            )
        except KafkaError as error:
            concerned = concerned_by(error, partitions)
            if not concerned:
                raise
            for tp in concerned:
                self._set_aside(tp, repr(error))
            return {}
        found = self.answers.judge(partitions, time.monotonic() - began)
        for tp, why in found.unread.items():
            self._set_aside(tp, why)
        self.app.observer.reads(found.read)
        self.app.observer.brokers_silent(self.answers.is_nobody_heard())
        return records

    def _set_aside(self, tp: TP, why: str) -> None:
        message = f"its records cannot be read: {why}. Look at the brokers"
        self.app.in_trouble((tp.topic, tp.partition), PartitionTrouble(message, "input"))

    async def _may_fetch(self) -> bool:
        """Wait, at most a second, until some partition may be fetched from."""
        if self._is_fetching():
            return True
        self._partitions_changed.clear()
        try:
            await asyncio.wait_for(self._partitions_changed.wait(), 1.0)
        except TimeoutError:
            return False
        return self._is_fetching()

    def _is_fetching(self) -> bool:
        return (
            self.flow_active
            and bool(self._get_active_partitions())
            and self.app.intake() is not None
        )

    async def _deliver(
        self,
        records: Mapping[TP, Stretch],
        intake: Mapping[tuple[str, int], object],
    ) -> None:
        by_topic: dict[str, list[Slice]] = {}
        for tp, fetched in records.items():
            by_topic.setdefault(tp.topic, []).append(Slice(tp.topic, tp.partition, fetched))
        for topic, slices in by_topic.items():
            first = slices[0]
            tp = TP(topic, first.partition)
            last = first.records[-1]
            message = ConsumerMessage(
                topic,
                first.partition,
                last.offset,
                last.timestamp / 1000.0,
                0,
                [],
                None,
                Fetch(tuple(slices), intake),
                None,
                0,
                0,
                tp,
                generation_id=self.app.consumer_generation_id,
            )
            await self.callback(message)


class BatchTransport(driver.Transport):
    """Faust's Kafka transport with the consumer above."""

    Consumer = BatchConsumer
