"""The description of every event, which is all but its seats, in the memory of any process.

    with EventCatalogue("localhost:9092") as catalogue:
        catalogue.wait_ready(timeout_s=30)
        print(catalogue.get(7))

One thread reads the compacted topic `events` from its beginning and tails it. Of two records of
an event the one with the higher revision stands (`newer_of`). A tombstone removes the event. A
record that cannot be read is counted and skipped, and what was known of its event stays.

Compaction keeps the last record of an event, not the one with the highest revision. `EventWriter`
sees to it that these are the same in the end.
"""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Unpack

from confluent_kafka import Message

from schemas.topics import EVENTS
from serdes.decoding import Decoded, Headers, Tombstone, TopicDecoder
from state.domain.event import Event, newer_of, searchable
from state.domain.keys import EVENT_ID_MAX, partition_of
from state.kafka.message_headers import headers_of
from state.records.event import EventEncoder, event_key, event_of
from state.records.names import EventDescription
from state.views.following.ages import age_ms, boot_clock_ns, never_known_ns
from state.views.following.live import LiveView, Reach, Source
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

NAME: Final = "event-catalogue"
# Events change a few times a day: an answer may be a second old.
HEARTBEAT_MS: Final = 1_000

_KEY: Final = re.compile(rb"0|[1-9][0-9]{0,18}")

# Why a record is bad, beside the reasons of serdes.decoding.
BAD_KEY: Final = "BAD_KEY"
KEY_MISMATCH: Final = "KEY_MISMATCH"
NO_STATUS: Final = "NO_STATUS"


class Listed(NamedTuple):
    """An event, and the text of its name and venue that a search looks at."""

    event: Event
    text: str


@dataclass(slots=True)
class CatalogueCounters(ReadingCounters):
    """What is counted of events, beside the counters of every topic.

    applied:   records that became the standing record of their event.
    older:     records that rank below the standing record, or repeat it.
    removed:   tombstones.
    """

    applied: int = 0
    older: int = 0
    removed: int = 0


class CatalogueReading(Reading):
    """One reading of the topic, from its beginning.

    events:  the standing record of each event, by id. One thread changes it; others copy it or ask
             for one event.
    changes: rises after every change of `events`.
    unreadable: ids of which only unreadable records came, so nobody can say whether the event
             exists.
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
        self._counters = counters
        self._records = Records(decoder, learn, log, "an event", counters.bad)

    def apply(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> bool:
        """Take in one record; say whether it changed anything. Never raises on bad bytes."""
        self._counters.records += 1
        event_id = None if key is None or _KEY.fullmatch(key) is None else int(key)
        if event_id is None or event_id > EVENT_ID_MAX:
            return self._skip(BAD_KEY, repr(key))
        verdict = self._records.verdict(value, headers)
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
        self._records.skip(reason, detail)
        return False


class Events(WaitedFor[CatalogueReading, CatalogueCounters]):
    """Look-ups and waits over the events; this class knows no broker."""

    def __init__(
        self,
        decoder: TopicDecoder,
        learn: Learn = knows_no_more,
        *,
        clock_ns: Callable[[], int] = boot_clock_ns,
    ) -> None:
        super().__init__(CatalogueCounters())
        self._decoder = decoder
        self._learn = learn
        self._clock_ns = clock_ns
        self._reading = self.new_reading(1)
        # The listing, and the reading and its count of changes that the listing was made from.
        self._listing: tuple[CatalogueReading, int, tuple[Listed, ...]] = (self._reading, 0, ())

    # --- look-ups --------------------------------------------------------------------------

    def get(self, event_id: int) -> Event | None:
        """Return how an event stands, from memory; None for an unknown event."""
        listed = self._reading.events.get(event_id)
        return None if listed is None else listed.event

    def listing(self) -> tuple[Listed, ...]:
        """Return all events, ordered by their begin and then their id.

        Returns the same tuple until an event changes.
        """
        reading, changes, listing = self._listing
        if reading is not self._reading or changes != reading.changes:
            reading = self._reading
            # The count is read before the copy: after a change meanwhile the next call lists anew.
            changes = reading.changes
            listing = tuple(
                sorted(
                    reading.events.copy().values(),
                    key=lambda one: (one.event.starts_at_ms, one.event.event_id),
                )
            )
            self._listing = (reading, changes, listing)
        return listing

    def staleness_ms(self) -> int:
        """Return the highest age of an answer; `UNKNOWN_AGE_MS` or more before the start."""
        return age_ms(self._reading.all_known_ns(), self._clock_ns())

    def is_unreadable(self, event_id: int) -> bool:
        """Say whether only unreadable records came of an event, so that nobody can say of it."""
        return event_id in self._reading.unreadable

    async def certain(self, event_id: int, timeout_s: float) -> bool:
        """Wait until the catalogue has read all that was visible of an event at this call.

        An event that is unknown then did not exist anywhere at this call. Returns False after
        `timeout_s`, and at once where only unreadable records came of the event.
        """
        asked_ns = self._clock_ns()

        def is_read() -> bool:
            partitions = self._reading.partitions
            of_event = partition_of(event_key(event_id), len(partitions))
            return partitions[of_event].known_ns >= asked_ns

        if self.is_unreadable(event_id):
            return False
        self.refresh()
        return await self.until(is_read, timeout_s) and not self.is_unreadable(event_id)

    def refresh(self) -> None:
        """Ask for the topic's end now. Does nothing here: `EventCatalogue` has a broker."""

    async def has_read(self, partition: int, offset: int, timeout_s: float) -> bool:
        """Wait until the record at an offset was taken in; return False after `timeout_s`."""

        def is_read() -> bool:
            partitions = self._reading.partitions
            return partition < len(partitions) and partitions[partition].position > offset

        return await self.until(is_read, timeout_s)

    # --- what the feed's thread tells ------------------------------------------------------

    def new_reading(self, partitions: int, topic_id: str = "") -> CatalogueReading:  # noqa: ARG002
        """Return an empty reading, to be filled and then published."""
        return CatalogueReading(
            partitions, self._decoder, self._learn, self.counters, self._clock_ns()
        )

    def take(self, reading: CatalogueReading, records: Sequence[Message]) -> list[bool]:
        """Take in records of the topic; return for each whether it changed an event."""
        return [
            reading.apply(record.key(), record.value(), headers_of(record)) for record in records
        ]

    def changed(self, reading: CatalogueReading, _: Sequence[bool]) -> None:
        """Wake all who wait, also after records that changed nothing: some wait to read them."""
        if reading is self._reading:
            self._wake()


class EventCatalogue(Events, LiveView):
    """The catalogue of one process. It is thread-safe; as a context manager it starts and closes.

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
        """Ask the brokers for the topic's end now, instead of with the next heartbeat."""
        self._feed.refresh()
