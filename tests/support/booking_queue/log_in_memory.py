"""The log of the booking queue without a broker: what is appended is folded at once."""

from collections.abc import Callable
from heapq import heappush

from confluent_kafka import Message

from infra.process.record_ids import Headers
from schemas.topics import BOOKING_QUEUE
from serdes.decoding import TopicDecoder
from serdes.registry.ids import counted_ids
from state.domain.booking_queue.figures import LENGTH_MAX
from state.domain.booking_queue.items import event_of
from state.domain.booking_queue.line import EventLine, Kept
from state.domain.booking_queue.statuses import OVER, ItemStatus
from state.kafka.command_log import Appended, NotAppended
from state.records.booking_queue.commands import QueueCodecs
from state.views.booking_queue.contents import BookingLines
from state.views.booking_queue.queue import wall_clock_ms

IDS = counted_ids()
CODECS = QueueCodecs.of(IDS)
APPEND_TIME = 2


class LogInMemory:
    """One partition.

    times:   how often each record is appended, as by who lost an answer.
    holds:   whether records reach nobody until `release`. refusal: what the next ones end with,
             which are in the log all the same unless it is NotAppended.
    """

    partitions = 1

    def __init__(self, *, times: int = 1, clock_ms: Callable[[], int] = wall_clock_ms) -> None:
        self.records: list[Message] = []
        self.followers: list[LinesInMemory] = []
        self.held: list[Message] = []
        self.holds = False
        self.refusal: Exception | None = None
        self._times = times
        self._clock_ms = clock_ms

    async def send(
        self,
        key: bytes,
        value: bytes,
        *,
        partition: int,
        headers: Headers = (),
    ) -> Appended:
        if isinstance(self.refusal, NotAppended):
            raise self.refusal
        offset = len(self.records)
        for _ in range(self._times):
            record = message(key, value, len(self.records), self._clock_ms(), headers=headers)
            self.records.append(record)
            self.held.append(record)
        if not self.holds:
            self.release()
        if self.refusal is not None:
            raise self.refusal
        return Appended(partition, offset)

    def release(self) -> None:
        self.holds = False
        held, self.held = self.held, []
        for record in held:
            for follower in self.followers:
                follower.follow(record)


def message(
    key: bytes,
    value: bytes | None,
    offset: int,
    ms: int,
    partition: int = 0,
    headers: Headers = (),
) -> Message:
    return Message(
        topic=BOOKING_QUEUE.name,
        partition=partition,
        offset=offset,
        key=key,
        value=value,
        timestamp=(APPEND_TIME, ms),
        headers=list(headers),
    )


class LinesInMemory(BookingLines):
    """The lines of a pod that follows such a log from a record on, and is never behind it."""

    def __init__(self, log: LogInMemory, first: int = 0, *, length_max: int = LENGTH_MAX) -> None:
        self.now_ns = 10**15
        super().__init__(
            TopicDecoder(BOOKING_QUEUE, IDS),
            length_max=length_max,
            clock_ns=lambda: self.now_ns,
        )
        self._reading.partitions[0].ends_at(0, self.now_ns)
        self.publish(self._reading)
        for record in log.records[first:]:
            self.follow(record)
        log.followers.append(self)

    def follow(self, record: Message) -> None:
        reading, offset = self._reading, record.offset()
        assert offset is not None
        changes = self.take(reading, [record])
        reading.partitions[0].reached(offset + 1)
        self.changed(reading, changes)


class LinesHands:
    """Moves time in the lines of some pods, for one item."""

    def __init__(self, *pods: BookingLines) -> None:
        self._pods = pods

    async def lapse(self, item: str) -> None:
        def ends(line: EventLine, kept: Kept) -> None:
            if kept.status not in OVER:
                line._items[item] = kept._replace(expires_ms=1)
                heappush(line._timeouts, (1, item))

        self._each(item, ends)

    async def end_lease(self, item: str) -> None:
        def ends(line: EventLine, kept: Kept) -> None:
            if kept.status is ItemStatus.PROCESSING:
                line._items[item] = kept._replace(until_ms=1)
                heappush(line._leases, (1, item))

        self._each(item, ends)

    async def make_due(self, item: str) -> None:
        def ends(line: EventLine, kept: Kept) -> None:
            if kept.status is ItemStatus.WAITING and kept.until_ms:
                line._items[item] = kept._replace(until_ms=1)
                heappush(line._later, (1, item))

        self._each(item, ends)

    def _each(self, item: str, ends: Callable[[EventLine, Kept], None]) -> None:
        event = event_of(item)
        assert event is not None
        for pod in self._pods:
            with pod.lines() as lines:
                line = lines.known(event)
                if line is not None and item in line._items:
                    ends(line, line._items[item])
