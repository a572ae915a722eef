"""Appends commands and says what became of each: appended, certainly not, or nobody knows.

    log = CommandLog("localhost:9092")
    await log.start()
    partition = log.partition_of(key)
    appended = await log.send(key, value, partition=partition, headers=headers)

The three answers differ in what a caller may promise. `NotAppended`: nothing was accepted, and it
never will be. `AppendUnknown`: the record may be in the log, or may still get there.

The partition is computed here and named explicitly, so that no option of the client can give a
section a second writer.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from infra.process.kafka_security import NO_OPTIONS, KafkaOptions
from schemas.topics import SECTION_COMMANDS
from state.domain.keys import partition_of
from state.kafka.connections import ConnectionLog, none_is_left

log = logging.getLogger(__name__)

NAME: Final = "command-log"
POLL_S: Final = 0.05
METADATA_TIMEOUT_S: Final = 5.0
RETRY_S: Final = 0.5
DELIVERY_TIMEOUT_MS: Final = 5_000
QUEUE_RECORDS_MAX: Final = 10_000
# A partition that has owed an acknowledgement for so long takes no further commands until it
# comes: they would only join a queue that nobody may ever empty.
# Less than any answer waits for it, so that who comes after the first pending one is told.
STUCK_AFTER_S: Final = 0.8

Headers = Sequence[tuple[str, bytes]]


class NotAppended(Exception):
    """The record is certainly not in the log, and never will be: say so, and let them try again.

    Operator action: see whether the brokers are up and have enough replicas in sync.
    """


class TooLarge(NotAppended):
    """No broker takes a record of this size; trying again does not help."""


class AppendUnknown(Exception):
    """Nobody knows whether the record is in the log, or will be: its outcome, if any, tells.

    Operator action: as for NotAppended.
    """


class Appended(NamedTuple):
    """Where a record lies."""

    partition: int
    offset: int


class Appender(Protocol):
    """Appends records to one topic; what a CommandLog is to those who have one."""

    @property
    def partitions(self) -> int: ...

    async def send(
        self, key: bytes, value: bytes, *, partition: int, headers: Headers = ()
    ) -> Appended: ...


@dataclass(frozen=True, slots=True)
class CommandStatistics:
    """One reading of the counters.

    appended, refused, unknown: records by how they ended; refused are NotAppended.
    in_flight: records not yet acknowledged.
    stuck:     partitions that take nothing because they owe an acknowledgement for too long.
    trouble:   what the client last complained about; empty after an acknowledgement.
    """

    appended: int
    refused: int
    unknown: int
    in_flight: int
    stuck: int
    trouble: str


# What brokers answer when they did not append, and did not before either: the client asks again
# only after such an answer or after none at all; see `_failure` for the latter.
_REFUSALS: Final = frozenset(
    {
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_MSG,
        KafkaError.POLICY_VIOLATION,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 (the client's public name)
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError._AUTHENTICATION,  # noqa: SLF001
    }
)
_SIZES: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


@dataclass(slots=True, eq=False)
class _Sent:
    """One record on its way.

    losses:      how many connections had been lost before it.
    is_answered: the brokers' word was taken in, by the thread; the future hears of it later.
    """

    future: "asyncio.Future[Appended]"
    partition: int
    losses: int
    at_s: float
    is_answered: bool = False


class CommandLog:
    """An idempotent producer in a thread of its own, used from one event loop.

    topic:               section-commands, or what it is called there.
    delivery_timeout_ms: how long the client tries, beyond the request that asked for it.
    kafka:               further options of librdkafka, such as for TLS and SASL.
    reached:             called with the name of a place that is reached, for tests.
    failure:             the mistake of ours that ended the thread; nothing is appended after it.
    """

    def __init__(
        self,
        brokers: str,
        *,
        topic: str = SECTION_COMMANDS.name,
        delivery_timeout_ms: int = DELIVERY_TIMEOUT_MS,
        queue_records_max: int = QUEUE_RECORDS_MAX,
        kafka: KafkaOptions = NO_OPTIONS,
        reached: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._topic = topic
        self._options = _options(brokers, delivery_timeout_ms, queue_records_max, kafka)
        self._queue_records_max = queue_records_max
        self._reached = reached
        self._partitions = 0
        self._producer: Producer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Added to by the loop, taken from by the thread.
        self._unacknowledged: dict[int, deque[_Sent]] = {}
        self._stuck: frozenset[int] = frozenset()
        self._settled: list[tuple[_Sent, Any, int]] = []
        self._losses = 0
        self._in_flight = 0
        self._counts = {"appended": 0, "refused": 0, "unknown": 0}
        self._trouble = ""
        self.failure: BaseException | None = None
        self._closing = threading.Event()
        self._has_closed = False
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)

    def start(self) -> None:
        """Begin to connect, in a thread; records can be sent when `is_ready`."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Take nothing more, wait for acknowledgements, end the thread; safe to repeat."""
        self._has_closed = True
        if self._thread.ident is None:
            return
        owed = [sent.future for waiting in self._unacknowledged.values() for sent in waiting]
        if owed:
            await asyncio.wait(owed, timeout=timeout_s)
        self._closing.set()
        await asyncio.to_thread(self._thread.join)
        # What is still owed will not come any more.
        for waiting in self._unacknowledged.values():
            for sent in waiting:
                _fail(sent.future, AppendUnknown("the process ends"))

    def is_ready(self) -> bool:
        """Say whether the topic is known."""
        return self._partitions > 0

    @property
    def topic(self) -> str:
        return self._topic

    @property
    def trouble(self) -> str:
        """Say why something cannot be appended now; empty where nothing is known against it."""
        if not self.is_ready():
            return self._trouble and f"{self._topic} is not known: {self._trouble}"
        if self._stuck:
            stuck = ", ".join(map(str, sorted(self._stuck)))
            return f"{self._topic}: {self._trouble or 'slow'}; nothing from partitions {stuck}"
        return ""

    @property
    def partitions(self) -> int:
        """Return how many partitions the topic has; raises NotAppended while nobody knows."""
        if not self._partitions:
            raise NotAppended(self._trouble or "the brokers have not answered yet")
        return self._partitions

    def partition_of(self, key: bytes) -> int:
        """Return the partition of a key. Raises NotAppended while the topic is not known."""
        return partition_of(key, self.partitions)

    async def send(
        self, key: bytes, value: bytes, *, partition: int, headers: Headers = ()
    ) -> Appended:
        """Append one record and return where it lies.

        A caller that is cancelled leaves the record on its way. Raises NotAppended, TooLarge,
        AppendUnknown; the latter after `delivery_timeout_ms`, so callers wait less if they must.
        """
        assert self._loop is not None, "not started"
        self._refuse_early(partition)
        assert self._producer is not None
        sent = _Sent(self._loop.create_future(), partition, self._losses, time.monotonic())
        try:
            self._producer.produce(
                self._topic,
                value,
                key,
                partition,
                headers=list(headers),
                on_delivery=partial(self._delivered, sent),
            )
        except BufferError:
            self._counts["refused"] += 1
            raise NotAppended("too many records wait for the brokers") from None
        except KafkaException as error:
            self._counts["refused"] += 1
            size = error.args[0].code() in _SIZES
            raise (TooLarge if size else NotAppended)(str(error.args[0])) from error
        self._unacknowledged.setdefault(partition, deque()).append(sent)
        self._in_flight += 1
        self._reached("after_send")
        return await sent.future

    def statistics(self) -> CommandStatistics:
        """Return all counters; on the loop."""
        return CommandStatistics(
            **self._counts,
            in_flight=self._in_flight,
            stuck=len(self._stuck),
            trouble=self._trouble,
        )

    def _refuse_early(self, partition: int) -> None:
        if self._has_closed:
            reason = "the process ends"
        elif not self._partitions:
            reason = self._trouble or "the brokers have not answered yet"
        elif self._in_flight >= self._queue_records_max:
            reason = "too many records wait for the brokers"
        elif partition in self._stuck:
            reason = f"partition {partition} acknowledges nothing: {self._trouble or 'slow'}"
        else:
            return
        self._counts["refused"] += 1
        raise NotAppended(reason)

    # --- in the thread ---------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._append_on()
        except BaseException as error:
            self.failure = error
            self._partitions = 0
            self._trouble = f"ended: {type(error).__name__}: {error}"
            raise

    def _append_on(self) -> None:
        producer = self._producer = Producer(
            {**self._options, "error_cb": self._complain}, logger=ConnectionLog(log, self._lost)
        )
        while not self._closing.is_set():
            if not self._partitions:
                self._ask(producer)
            polled_s = time.monotonic()
            producer.poll(POLL_S)
            self._stuck = self._stuck_at(polled_s)
            if self._settled:
                # One call to the loop for all that was acknowledged meanwhile.
                settled, self._settled = self._settled, []
                self._tell(settled)
        producer.purge()
        producer.flush(0)

    def _stuck_at(self, polled_s: float) -> frozenset[int]:
        """Return the partitions that owe an answer for too long, after all answers were taken in.

        Judged here and by the time before they were: a loop, or a thread, that comes late to what
        the brokers have long answered blames nobody but itself.
        """
        stuck = []
        for partition, waiting in list(self._unacknowledged.items()):
            while waiting and waiting[0].is_answered:
                waiting.popleft()
            if waiting and polled_s - waiting[0].at_s > STUCK_AFTER_S:
                stuck.append(partition)
        return frozenset(stuck)

    def _ask(self, producer: Producer) -> None:
        try:
            metadata = producer.list_topics(self._topic, timeout=METADATA_TIMEOUT_S)
        except KafkaException as error:
            self._trouble = str(error.args[0])
            self._closing.wait(RETRY_S)
            return
        found = metadata.topics[self._topic]
        if found.error is not None:
            self._trouble = f"{self._topic}: {found.error}"
            self._closing.wait(RETRY_S)
            return
        self._trouble = ""
        self._partitions = len(found.partitions)

    def _delivered(self, sent: _Sent, error: Any, message: Message) -> None:
        sent.is_answered = True
        offset = message.offset()
        self._settled.append((sent, error, -1 if offset is None else offset))

    def _complain(self, error: Any) -> None:
        self._trouble = str(error)
        if none_is_left(error):
            self._lost()

    def _lost(self) -> None:
        # What was on a connection that is lost may have arrived.
        self._losses += 1

    def _tell(self, settled: list[tuple[_Sent, Any, int]]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, settled)

    # --- on the loop -----------------------------------------------------------------------

    def _settle(self, settled: list[tuple[_Sent, Any, int]]) -> None:
        for sent, error, offset in settled:
            self._in_flight -= 1
            if error is None:
                self._counts["appended"] += 1
                self._trouble = ""
                if not sent.future.done():
                    sent.future.set_result(Appended(sent.partition, offset))
                continue
            failure = self._failure(sent, error)
            is_certain = isinstance(failure, NotAppended)
            self._counts["refused" if is_certain else "unknown"] += 1
            _fail(sent.future, failure)

    def _failure(self, sent: _Sent, error: Any) -> Exception:
        if error.code() in _SIZES:
            return TooLarge(str(error))
        # An attempt whose connection was lost may have been appended before a later one was
        # refused.
        if error.code() in _REFUSALS and sent.losses == self._losses:
            return NotAppended(str(error))
        return AppendUnknown(str(error))


def _fail(future: "asyncio.Future[Appended]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _options(
    brokers: str, delivery_timeout_ms: int, queue_records_max: int, extra: KafkaOptions
) -> dict[str, Any]:
    return {
        "bootstrap.servers": brokers,
        "client.id": f"seatstream-{NAME}",
        "allow.auto.create.topics": False,
        "enable.idempotence": True,
        "acks": "all",
        # Somebody waits for every one of them.
        "linger.ms": 1,
        "delivery.timeout.ms": delivery_timeout_ms,
        "request.timeout.ms": min(2_000, delivery_timeout_ms),
        "socket.timeout.ms": 4_000,
        "socket.keepalive.enable": True,
        # A refusal, such as for too few replicas, is told after three further attempts. A leader
        # that cannot be reached costs no attempt: the record waits for its successor.
        "message.send.max.retries": 3,
        "retry.backoff.ms": 50,
        "retry.backoff.max.ms": 500,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 500,
        "queue.buffering.max.messages": queue_records_max,
        **extra,
    }
