"""Follows the committed outcomes: how recent reservations stand, and who waits for an outcome.

    feed = OutcomeFeed("localhost:9092")
    feed.start()                                    # on the loop that will wait
    with feed.waiting(reservation_id) as waiter:    # before the command is appended
        ...
        outcome = await waiter.first(lambda outcome: outcome.kind is OutcomeKind.HELD)

One thread reads all partitions of `reservation-outcomes`, beginning some minutes before the end.
It must read all, since the key of an outcome does not tell its partition: the outcome lies on the
partition number of its section's commands.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Final, Unpack

from confluent_kafka import IsolationLevel, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.topics import RESERVATION_OUTCOMES
from state.domain.outcome import Outcome, ReservationView
from state.kafka.ends import END, NEWEST, listed
from state.views.following.ages import UNKNOWN_AGE_MS, age_ms, never_known_ns
from state.views.following.heartbeat import ANSWER_TIMEOUT_S, TopicIdentity
from state.views.following.live import Live, Reach, Source
from state.views.outcomes.contents import OutcomeContents, OutcomeCounters
from state.views.outcomes.waiters import OutcomeWaiter, OutcomeWaiters

NAME: Final = "outcome-feed"
HEARTBEAT_MS: Final = 500
LOOK_BACK_MS: Final = 600_000
# Workers stamp outcomes with their own clocks, which may be behind the brokers' by so much.
CLOCK_SKEW_MS: Final = 60_000
BYTES_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class OutcomeStatistics:
    """The feed's counters at one moment; see OutcomeCounters.

    reservations, size_bytes: reservations in memory, and the bytes that they take.
    waiters:      how many requests wait now.
    readings:     how often the topic was read to its end: 1 after the start.
    staleness_ms: the feed has taken in every outcome that was visible this long ago, or longer.
    trouble:      why the feed cannot follow the topic now; empty while it can.
    """

    records: int
    repeated: int
    forgotten: int
    bad: int
    heartbeats: int
    heartbeats_failed: int
    read_errors: int
    readings: int
    reservations: int
    size_bytes: int
    waiters: int
    is_ready: bool
    staleness_ms: int
    trouble: str


class OutcomeFeed(Live):
    """The feed of one process.

    look_back_ms: how far before the newest outcome the reading begins.
    bytes_max:    limit for reservations in memory; beyond it the oldest are forgotten.
    reach:        as in `Source`; the topic is reservation-outcomes.

    Raises as `SchemaSource.ids` does; connects to nothing before `start`.
    """

    def __init__(
        self,
        brokers: str,
        *,
        look_back_ms: int = LOOK_BACK_MS,
        bytes_max: int = BYTES_MAX,
        **reach: Unpack[Reach],
    ) -> None:
        reach.setdefault("heartbeat_ms", HEARTBEAT_MS)
        source = Source(brokers, RESERVATION_OUTCOMES, **reach)
        self.counters = OutcomeCounters()
        self.trouble = ""
        self._decoder = source.decoder()
        self._learn = source.learning(self._decoder)
        self._look_back_ms = look_back_ms
        self._since_ms = 0
        self._bytes_max = bytes_max
        self._clock_ns = source.clock_ns
        self._waiters = OutcomeWaiters()
        self._contents: OutcomeContents | None = None
        # Set with every answered heartbeat while requests wait for one.
        self._refreshed = asyncio.Event()
        # How many requests wait for a heartbeat.
        self._asking = 0
        self._has_ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._feed = source.followed(self, NAME, self._starts)

    def start(self) -> None:
        """Begin to read, in a thread. Only the loop that runs now may wait for outcomes."""
        self._loop = asyncio.get_running_loop()
        super().start()

    async def close(self) -> None:
        """End all waits, then the thread; safe to repeat."""
        self.end_waits()
        await asyncio.to_thread(self._feed.close)

    def end_waits(self) -> None:
        """Let everybody who waits answer now, since the process is about to end."""
        self._has_ended = True
        self._refreshed.set()
        self._waiters.end()

    # --- what a request asks ---------------------------------------------------------------

    def is_ready(self) -> bool:
        """Say whether the feed has read the topic to the ends that it had at start."""
        return self._contents is not None

    @property
    def partitions(self) -> int:
        """Return how many partitions the topic has; 0 before the start."""
        return 0 if self._contents is None else len(self._contents.partitions)

    def staleness_ms(self) -> int:
        """Return the age of the reservations in memory; `UNKNOWN_AGE_MS` before the start."""
        contents = self._contents
        if contents is None:
            return UNKNOWN_AGE_MS
        return age_ms(contents.all_known_ns(), self._clock_ns())

    def get(self, reservation_id: bytes) -> ReservationView | None:
        """Return how a reservation stands, or None where only its partition's owner knows."""
        contents = self._contents
        return None if contents is None else contents.get(reservation_id)

    def decided(self, partition: int) -> int:
        """Return the offset behind the last command of a partition known to be decided."""
        contents = self._contents
        return 0 if contents is None else contents.decided(partition)

    def told(self, outcome_id: bytes) -> None:
        """Note an outcome that somebody was told; `get` returns nothing older from now on."""
        if self._contents is not None:
            self._contents.tell(outcome_id)

    def now_ns(self) -> int:
        """Return the present time by the clock of `knows_since`."""
        return self._clock_ns()

    async def knows_since(self, partition: int, asked_ns: int, timeout_s: float) -> bool:
        """Wait until the feed has read all that was visible of a partition at a moment.

        asked_ns: the moment, by `now_ns`. Returns False where the wait ended before.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not self._has_ended and not self._knows(partition, asked_ns):
                    self._refreshed.clear()
                    self._feed.refresh()
                    self._asking += 1
                    try:
                        await self._refreshed.wait()
                    finally:
                        self._asking -= 1
        except TimeoutError:
            pass
        return self._knows(partition, asked_ns)

    def _knows(self, partition: int, asked_ns: int) -> bool:
        contents = self._contents
        if contents is None or partition >= len(contents.partitions):
            return False
        return contents.partitions[partition].known_ns >= asked_ns

    def waiting(self, reservation_id: bytes) -> AbstractContextManager[OutcomeWaiter]:
        """Return a waiter for a reservation's outcomes; it lives as long as its `with` block."""
        return self._waiters.waiting(reservation_id)

    def statistics(self) -> OutcomeStatistics:
        """Return all counters. Each is exact, but they are not of one instant."""
        counters, contents = self.counters, self._contents
        return OutcomeStatistics(
            records=counters.records,
            repeated=counters.repeated,
            forgotten=counters.forgotten,
            bad=sum(counters.bad.values()),
            heartbeats=counters.heartbeats,
            heartbeats_failed=counters.heartbeats_failed,
            read_errors=counters.read_errors,
            readings=counters.readings,
            reservations=0 if contents is None else len(contents),
            size_bytes=0 if contents is None else contents.size_bytes,
            waiters=len(self._waiters),
            is_ready=self.is_ready(),
            staleness_ms=self.staleness_ms(),
            trouble=self.trouble,
        )

    # --- what the thread tells -------------------------------------------------------------

    def new_reading(self, partitions: int, topic_id: str) -> OutcomeContents:  # noqa: ARG002
        """Return empty contents. The former contents answer until these are complete."""
        return OutcomeContents(
            partitions,
            self._decoder,
            self._learn,
            self.counters,
            since_ms=self._since_ms,
            bytes_max=self._bytes_max,
            never_ns=never_known_ns(self._clock_ns()),
        )

    def take(self, reading: OutcomeContents, records: Sequence[Message]) -> list[Outcome]:
        """Take in records; return the outcomes that somebody waits for."""
        wanted = []
        for record in records:
            partition = record.partition()
            assert partition is not None
            outcome = reading.apply(partition, record.key(), record.value(), self._waiters)
            if outcome is not None:
                wanted.append(outcome)
        return wanted

    def changed(self, reading: OutcomeContents, changes: Sequence[Outcome]) -> None:  # noqa: ARG002
        """Wake those who wait for these outcomes, also before the reading is complete."""
        assert self._loop is not None
        # One call for all outcomes. Nobody waits on a loop that was closed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._waiters.tell, changes)

    def publish(self, reading: OutcomeContents) -> None:
        """Answer from this reading from now on."""
        self._contents = reading
        self.counters.readings += 1

    def refreshed(self) -> None:
        """Wake the requests in `knows_since`, since a heartbeat was answered."""
        if self._asking and self._loop is not None:
            # Nobody waits on a loop that was closed.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._refreshed.set)

    def troubled(self, trouble: str) -> None:
        """Note why the feed cannot follow the topic; an empty string when it can again."""
        self.trouble = trouble

    def _starts(self, admin: AdminClient, topic: TopicIdentity) -> Sequence[TopicPartition]:
        """Return the offsets where the look-back begins; note from when on outcomes are kept.

        The look-back counts from the newest outcome, since this machine's clock may be off (F05).
        """
        places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        # The ends are asked for first: a record that comes during the other questions lies behind
        # them, so it is read.
        ends = _answers(
            admin.list_offsets(
                dict.fromkeys(places, END),
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=ANSWER_TIMEOUT_S,
            ),
            "offset",
        )
        newest_ms = _answers(
            admin.list_offsets(dict.fromkeys(places, NEWEST), request_timeout=ANSWER_TIMEOUT_S),
            "timestamp",
        )
        since_ms = max(0, max(newest_ms.values()) - self._look_back_ms)
        self._since_ms = since_ms + CLOCK_SKEW_MS
        first: OffsetSpec = OffsetSpec.for_timestamp(since_ms)
        offsets = _answers(
            admin.list_offsets(dict.fromkeys(places, first), request_timeout=ANSWER_TIMEOUT_S),
            "offset",
        )
        # A partition without a record as young has no offset here. Its reading begins at the end
        # asked for above: librdkafka's own "end" is looked up later, and might lie behind outcomes
        # that somebody waits for by then.
        return [
            TopicPartition(
                topic.name,
                number,
                offset if offset >= 0 else ends[number],
            )
            for number, offset in offsets.items()
        ]


def _answers(answers: Mapping[TopicPartition, "Future[Any]"], name: str) -> dict[int, int]:
    """Wait for the answers; return one attribute of each, by partition.

    Raises KafkaException, also where a single leader did not answer: without its answer the
    look-back would begin at the end. The feed asks again then.
    """
    # The request's own timeout bounds the wait.
    return {at.partition: int(getattr(listed(answer), name)) for at, answer in answers.items()}
