"""Every event beside its seats, in memory, in anybody's process; and how a pod changes one.

    with EventCatalogue("localhost:9092") as catalogue:
        catalogue.wait_ready(timeout_s=30)
        print(catalogue.get(7))

One thread reads the compacted topic `events` from its beginning and tails it. Of two records of
an event the higher revision stands (`newer_of`), a tombstone removes whatever was told before it,
and a record that cannot be read is counted and skipped: what was known of its event stays.

Compaction keeps the last record of an event, not the highest revision. So whoever writes reads
its own record back, and writes again on top of what stands if that is not the record.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple, Unpack

from confluent_kafka import Message

from schemas.topics import EVENTS
from serdes.decoding import Decoded, Headers, Tombstone, TopicDecoder
from state.domain.event import Event, newer_of, searchable
from state.domain.keys import partition_of
from state.kafka.message_headers import headers_of
from state.records.event import EventEncoder, event_key, event_of
from state.records.names import EventDescription
from state.views.availability.answers import age_ms, boot_clock_ns
from state.views.following.live import LiveView, Reach, Source
from state.views.following.reading import (
    Learn,
    Reading,
    ReadingCounters,
    Skipped,
    fault_of,
    never_known_ns,
    until,
    verdict_on,
)

log = logging.getLogger(__name__)

NAME: Final = "event-catalogue"
# Events change a few times a day: an answer may be a second old.
HEARTBEAT_MS: Final = 1_000

_KEY: Final = re.compile(rb"0|[1-9][0-9]{0,18}")

# Reasons of bad records beside those of serdes.decoding.
BAD_KEY: Final = "BAD_KEY"
KEY_MISMATCH: Final = "KEY_MISMATCH"
NO_STATUS: Final = "NO_STATUS"


class Listed(NamedTuple):
    """An event with what a search looks at: its name and venue."""

    event: Event
    text: str


@dataclass(slots=True)
class CatalogueCounters(ReadingCounters):
    """What is counted of events besides.

    applied:   became what stands of their event.
    older:     of a lower rank than what stands, or the same again.
    removed:   tombstones.
    """

    applied: int = 0
    older: int = 0
    removed: int = 0


class CatalogueReading(Reading):
    """One reading of the topic, from its beginning.

    events:  what stands, by id. Changed by one thread; others copy it or ask for one event.
    changes: rises with every change, after it.
    unreadable: ids without an event but with a record that cannot be read: nobody can say what it
             was.
    """

    def __init__(
        self,
        partitions: int,
        decoder: TopicDecoder,
        learn: Learn,
        counters: CatalogueCounters,
        now_ns: int,
    ) -> None:
        self.events: dict[int, Listed] = {}
        self.unreadable: set[int] = set()
        self.changes = 0
        super().__init__(partitions, never_known_ns(now_ns))
        self._decoder = decoder
        self._learn = learn
        self._counters = counters
        self._skipped = Skipped(log, "an event", counters.bad)

    def apply(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> bool:
        """Take in one record; say whether it changed anything. Never raises on bad bytes."""
        self._counters.records += 1
        event_id = None if key is None or _KEY.fullmatch(key) is None else int(key)
        if event_id is None or event_id >= 1 << 63:
            return self._skip(BAD_KEY, repr(key))
        verdict = verdict_on(self._decoder, self._learn, value, headers)
        if isinstance(verdict, Tombstone):
            self._counters.removed += 1
            self.unreadable.discard(event_id)
            changed = self.events.pop(event_id, None) is not None
            self.changes += changed
            return changed
        if not isinstance(verdict, Decoded):
            return self._skip(*fault_of(verdict), event_id)
        told = EventDescription._make(verdict.fields)
        if told.event_id != event_id:
            return self._skip(KEY_MISMATCH, f"event {told.event_id} under {key!r}", event_id)
        if not told.status:
            return self._skip(NO_STATUS, f"event {event_id}", event_id)
        return self._tell(event_of(told))

    def _tell(self, told: Event) -> bool:
        known = self.events.get(told.event_id)
        if known is not None and newer_of(known.event, told) == known.event:
            self._counters.older += 1
            return False
        self.events[told.event_id] = Listed(told, searchable(f"{told.name} {told.venue}"))
        self.unreadable.discard(told.event_id)
        self.changes += 1
        self._counters.applied += 1
        return True

    def _skip(self, reason: str, detail: str, event_id: int | None = None) -> bool:
        if event_id is not None and event_id not in self.events:
            self.unreadable.add(event_id)
        self._skipped.note(reason, detail)
        return False


class Events:
    """Look-ups and waits; the broker is not known here."""

    def __init__(
        self,
        decoder: TopicDecoder,
        learn: Callable[[int], bool] = lambda schema_id: False,  # noqa: ARG005
        *,
        clock_ns: Callable[[], int] = boot_clock_ns,
    ) -> None:
        self.counters = CatalogueCounters()
        self.trouble = ""
        self._decoder = decoder
        self._learn = learn
        self._clock_ns = clock_ns
        self._wakers: frozenset[Callable[[], None]] = frozenset()
        self._wakers_lock = threading.Lock()
        self._is_ready = False
        self._closed = False
        self._reading = self.new_reading(1)
        # The listing, and the reading and count of changes that it was made at.
        self._listing: tuple[CatalogueReading, int, tuple[Listed, ...]] = (self._reading, 0, ())

    # --- look-ups --------------------------------------------------------------------------

    def get(self, event_id: int) -> Event | None:
        """Return what stands of an event, from memory; None for one that is unknown."""
        listed = self._reading.events.get(event_id)
        return None if listed is None else listed.event

    def listing(self) -> tuple[Listed, ...]:
        """Return all events, ordered by their begin and then their id.

        The same value until something changes.
        """
        reading, changes, listing = self._listing
        if reading is not self._reading or changes != reading.changes:
            reading = self._reading
            # Before the copy: what changes meanwhile makes the next listing.
            changes = reading.changes
            listing = tuple(
                sorted(
                    reading.events.copy().values(),
                    key=lambda one: (one.event.starts_at_ms, one.event.event_id),
                )
            )
            self._listing = (reading, changes, listing)
        return listing

    def is_ready(self) -> bool:
        """Say whether the topic was read to the end offsets that it had at start."""
        return self._is_ready

    def staleness_ms(self) -> int:
        """Return the age of what is known, as a bound; about 25 days before the start."""
        return age_ms(self._reading.all_known_ns(), self._clock_ns())

    async def certain(self, event_id: int, timeout_s: float) -> bool:
        """Wait until whatever anybody was told of an event before this call was read.

        What is unknown then is unknown everywhere. False after `timeout_s`, and at once where all
        there is of it cannot be read.
        """
        asked_ns = self._clock_ns()

        def is_read() -> bool:
            partitions = self._reading.partitions
            of_event = partition_of(event_key(event_id), len(partitions))
            return partitions[of_event].known_ns >= asked_ns

        if event_id in self._reading.unreadable:
            return False
        self.refresh()
        return await self.until(is_read, timeout_s) and event_id not in self._reading.unreadable

    def refresh(self) -> None:
        """Have the brokers asked for the topic's end now; nobody asks here."""

    async def has_read(self, partition: int, offset: int, timeout_s: float) -> bool:
        """Wait until a record of the topic was taken in; False after `timeout_s`."""

        def is_read() -> bool:
            partitions = self._reading.partitions
            return partition < len(partitions) and partitions[partition].position > offset

        return await self.until(is_read, timeout_s)

    async def until(self, is_met: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something holds that records of the topic bring about; say whether it does.

        is_met: asked on the loop whenever records were taken in.
        """
        return await until(is_met, timeout_s, self._waking, lambda: self._closed)

    @contextmanager
    def _waking(self, wake: Callable[[], None]) -> Iterator[None]:
        with self._wakers_lock:
            self._wakers |= {wake}
        try:
            yield
        finally:
            with self._wakers_lock:
                self._wakers -= {wake}

    def _wake(self) -> None:
        for wake in self._wakers:
            wake()

    # --- what the feed's thread tells ------------------------------------------------------

    def new_reading(self, partitions: int, topic_id: str = "") -> CatalogueReading:  # noqa: ARG002
        """Return an empty reading, to be filled and then published."""
        return CatalogueReading(
            partitions, self._decoder, self._learn, self.counters, self._clock_ns()
        )

    def take(self, reading: CatalogueReading, records: Sequence[Message]) -> list[bool]:
        """Take in records of the topic; return for each whether it changed anything."""
        return [
            reading.apply(record.key(), record.value(), headers_of(record)) for record in records
        ]

    def changed(self, reading: CatalogueReading, _: Sequence[bool]) -> None:
        """Wake who waits: also for a record that changed nothing, since it was read."""
        if reading is self._reading:
            self._wake()

    def publish(self, reading: CatalogueReading) -> None:
        """Answer from a complete reading from now on."""
        self._reading = reading
        self.counters.readings += 1
        self._is_ready = True
        self._wake()

    def refreshed(self) -> None:
        """Note that a heartbeat was answered: whoever waits for a position may look again."""
        self._wake()

    def end_waits(self) -> None:
        """Have everybody who waits answered now, and nobody wait any more."""
        self._closed = True
        self._wake()

    def troubled(self, trouble: str) -> None:
        """Note why the topic cannot be followed; an empty string when it can."""
        self.trouble = trouble


class EventCatalogue(Events, LiveView):
    """The catalogue of one process. Thread-safe; a context manager that starts and closes it.

    brokers: host:port, separated by commas.
    reach:   as in `Source`; the topic is events.

    Raises as `SchemaSource.ids` does; connects to nothing before `start`.
    """

    def __init__(self, brokers: str, **reach: Unpack[Reach]) -> None:
        reach.setdefault("heartbeat_ms", HEARTBEAT_MS)
        source = Source(brokers, EVENTS, **reach)
        self.encode = EventEncoder(source.schemas.ids())
        decoder = source.decoder()
        super().__init__(decoder, source.learning(decoder), clock_ns=source.clock_ns)
        self._feed = source.followed(self, NAME)

    def refresh(self) -> None:
        """Have the brokers asked for the topic's end now, instead of with the next heartbeat."""
        self._feed.refresh()
