"""The lines of the booking queue in a pod's memory, folded from the topic `booking-queue`.

Each pod folds all records from the beginning of the log by `state.domain.booking_queue.line`, so
all come to the same lines, and what a record did is what any pod says of it. Who appended a
record learns that from its own fold (`Calls`).
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple, assert_never

from confluent_kafka import Message

from infra.process.record_ids import correlation_in
from serdes.decoding import Decoded, Tombstone, TopicDecoder
from state.domain.booking_queue.figures import LENGTH_MAX, REQUEST_BYTES_MAX
from state.domain.booking_queue.items import Item, event_of
from state.domain.booking_queue.line import Asked, Ended, EventLine
from state.domain.booking_queue.lines import Lines
from state.domain.booking_queue.queue import Standing
from state.domain.keys import EVENT_ID_MAX, partition_of
from state.kafka.freshness import Freshness
from state.kafka.message_headers import headers_of
from state.records.booking_queue.commands import (
    KINDS,
    CancelItem,
    CleanLine,
    EnqueueItem,
    QueueCommand,
    RemoveItem,
    RequeueItem,
    SettleItem,
    TakeItem,
)
from state.records.booking_queue.ids import encoded_ids
from state.records.event import event_key
from state.views.following.ages import age_ms, boot_clock_ns, never_known_ns
from state.views.following.reading import (
    Learn,
    Reading,
    ReadingCounters,
    Records,
    fault_of,
    knows_no_more,
)
from state.views.following.waits import WaitedFor

log = logging.getLogger(__name__)

# Why a record is bad, beside the reasons of serdes.decoding.
BAD_ITEM: Final = "BAD_ITEM"
BAD_KEY: Final = "BAD_KEY"
BAD_PARTITION: Final = "BAD_PARTITION"
NO_RECORD: Final = "NO_RECORD"


class Done(NamedTuple):
    """What a record did.

    did:      as the line's method of its kind says.
    item:     as it stands then, None where it is unknown.
    standing: of the line, where it was cleaned.
    """

    did: Any
    item: Item | None
    standing: Standing | None = None


class Calls:
    """Who waits to learn what a record did; `end` lets nobody wait any more. Thread-safe."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, tuple[asyncio.AbstractEventLoop, asyncio.Future[Done]]] = {}

    def __contains__(self, call_id: bytes) -> bool:
        return call_id in self._waiting

    @contextmanager
    def waiting(self, call_id: bytes) -> Iterator["asyncio.Future[Done]"]:
        """Give what will be known of a record; on the loop that waits, before it is appended."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Done] = loop.create_future()
        self._waiting[call_id] = loop, future
        try:
            yield future
        finally:
            self._waiting.pop(call_id, None)

    def tell(self, call_id: bytes, done: Done) -> None:
        """Tell what the first record of a call did."""
        waiting = self._waiting.pop(call_id, None)
        if waiting is None:
            return
        loop, future = waiting
        # Nobody waits on a loop that was closed meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_tell, future, done)


def _tell(future: "asyncio.Future[Done]", done: Done) -> None:
    if not future.done():
        future.set_result(done)


class LinesReading(Reading):
    """One reading of the topic, from its beginning.

    lines: changed by the feed's thread, asked by others; whoever does either holds `lock`.
    """

    def __init__(
        self,
        partitions: int,
        decoder: TopicDecoder,
        learn: Learn,
        counters: ReadingCounters,
        calls: Calls,
        now_ns: int,
        *,
        length_max: int,
    ) -> None:
        super().__init__(partitions, never_known_ns(now_ns))
        self.lines = Lines(length_max=length_max)
        self.lock = threading.Lock()
        self._counters = counters
        self._calls = calls
        self._records = Records(decoder, learn, log, "a record of the booking queue", counters.bad)

    def apply(self, record: Message) -> tuple[bytes, Done] | None:
        """Take in one record; return what it did where somebody here waits for that.

        Never raises on bad bytes. A bad record does nothing, in any pod.
        """
        self._counters.records += 1
        headers = headers_of(record)
        verdict = self._records.verdict(record.value(), headers)
        if isinstance(verdict, Tombstone):
            self._records.skip(NO_RECORD, repr(record.key()))
            return None
        if not isinstance(verdict, Decoded):
            self._records.skip(*fault_of(verdict))
            return None
        command = KINDS[verdict.name]._make(verdict.fields)
        event_id, fault = _event_in(command)
        if fault:
            self._records.skip(BAD_ITEM, fault)
            return None
        key = event_key(event_id)
        if record.key() != key:
            self._records.skip(BAD_KEY, f"{record.key()!r} of event {event_id}")
            return None
        if record.partition() != partition_of(key, len(self.partitions)):
            # Its numbers would be those of other items.
            self._records.skip(BAD_PARTITION, f"event {event_id} on {record.partition()}")
            return None
        ids = encoded_ids(correlation_in([(name, text or b"") for name, text in headers]))
        offset, (_, now_ms) = record.offset(), record.timestamp()
        assert offset is not None
        with self.lock:
            self.lines.pass_to(now_ms)
            line = self.lines.of(event_id)
            # Numbers begin at 1.
            did = _did(line, command, offset + 1, now_ms, ids)
            if command.call_id not in self._calls:
                self.lines.tidy(event_id)
                return None
            done = _told(line, command, did, now_ms)
            self.lines.tidy(event_id)
        return command.call_id, done


def _event_in(command: QueueCommand) -> tuple[int, str]:
    """Return the event that a command is about, and what is wrong with the command."""
    match command:
        case CleanLine(_, event_id):
            return event_id, "" if 0 <= event_id <= EVENT_ID_MAX else f"event {event_id}"
        case TakeItem(token=b"") | SettleItem(token=b""):
            return 0, "no token"
        case EnqueueItem(request=request) | RequeueItem(request=request) if (
            len(request) > REQUEST_BYTES_MAX
        ):
            return 0, f"a request of {len(request)} bytes"
    found = event_of(command.item.decode())
    return (0, f"item {command.item!r}") if found is None else (found, "")


def _did(line: EventLine, command: QueueCommand, number: int, now_ms: int, ids: bytes) -> Any:
    """Have a command take effect; return what its line says of it. ids: of its record."""
    match command:
        case EnqueueItem(_, item, user, request):
            asked = Asked(user.decode(), request, ids=ids)
            return line.enqueue(item.decode(), asked, number, now_ms)
        case TakeItem(_, item, token):
            return line.take(item.decode(), token.decode(), now_ms)
        case SettleItem(_, item, token, has_outcome, outcome, reason, is_final):
            ended = Ended(outcome if has_outcome else None, reason.decode(), is_final)
            return line.settle(item.decode(), token.decode(), ended, now_ms)
        case CancelItem(_, item, user):
            return line.cancel(item.decode(), user.decode(), now_ms)
        case CleanLine():
            return line.clean(now_ms)
        case RequeueItem(_, item, user, request, round_):
            asked = Asked(user.decode(), request, round_, ids)
            return line.requeue(item.decode(), asked, number, now_ms)
        case RemoveItem(_, item):
            return line.remove(item.decode())
        case _:
            assert_never(command)


def _told(line: EventLine, command: QueueCommand, did: Any, now_ms: int) -> Done:
    if isinstance(command, CleanLine):
        return Done(did, None, line.standing(now_ms, did))
    return Done(did, line.look(command.item.decode()))


class BookingLines(WaitedFor[LinesReading, ReadingCounters]):
    """Look-ups and waits over the lines; this class knows no broker.

    length_max: items of an event that are not over. All pods must have the same.
    """

    def __init__(
        self,
        decoder: TopicDecoder,
        learn: Learn = knows_no_more,
        *,
        length_max: int = LENGTH_MAX,
        clock_ns: Callable[[], int] = boot_clock_ns,
    ) -> None:
        super().__init__(ReadingCounters())
        self.calls = Calls()
        self._decoder = decoder
        self._learn = learn
        self._length_max = length_max
        self._clock_ns = clock_ns
        self._reading = self.new_reading(1)

    # --- look-ups --------------------------------------------------------------------------

    @contextmanager
    def lines(self) -> Iterator[Lines]:
        """Give the lines, which nobody changes meanwhile: be quick."""
        reading = self._reading
        with reading.lock:
            yield reading.lines

    def oldest_ms(self) -> int:
        """Return the highest age of an answer; `UNKNOWN_AGE_MS` or more before the start."""
        return age_ms(self._reading.all_known_ns(), self._clock_ns())

    def staleness_ms(self, event_id: int | None) -> int:
        """Return the age of an answer of an event; None for the lowest of any event."""
        if event_id is None:
            known_ns = max(one.known_ns for one in self._reading.partitions)
        else:
            known_ns = self._freshness_of(event_id).known_ns
        return age_ms(known_ns, self._clock_ns())

    async def certain(self, event_id: int, timeout_s: float) -> bool:
        """Wait until all is read that was visible of an event at this call; False after a time."""
        asked_ns = self._clock_ns()

        def is_read() -> bool:
            return self._freshness_of(event_id).known_ns >= asked_ns

        self.refresh()
        return await self.until(is_read, timeout_s)

    def _freshness_of(self, event_id: int) -> Freshness:
        partitions = self._reading.partitions
        return partitions[partition_of(event_key(event_id), len(partitions))]

    def refresh(self) -> None:
        """Ask for the topic's end now. Does nothing here: `BookingLog` has a broker."""

    # --- what the feed's thread tells ------------------------------------------------------

    def new_reading(self, partitions: int, topic_id: str = "") -> LinesReading:  # noqa: ARG002
        """Return an empty reading, to be filled and then published."""
        return LinesReading(
            partitions,
            self._decoder,
            self._learn,
            self.counters,
            self.calls,
            self._clock_ns(),
            length_max=self._length_max,
        )

    def take(
        self, reading: LinesReading, records: Sequence[Message]
    ) -> list[tuple[bytes, Done] | None]:
        """Take in records of the topic; return for each what those who wait are told."""
        return [reading.apply(record) for record in records]

    def changed(self, reading: LinesReading, changes: Sequence[tuple[bytes, Done] | None]) -> None:
        """Tell those who wait for a record what it did, and wake those who wait to have read."""
        for change in changes:
            if change is not None:
                self.calls.tell(*change)
        if reading is self._reading:
            self._wake()
