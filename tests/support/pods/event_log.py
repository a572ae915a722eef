"""The topic `events` in memory: what is appended is read by all catalogues, in one order."""

from collections.abc import Callable

from support.logs.log_in_memory import LogInMemory

from infra.process.record_ids import Headers
from schemas.topics import EVENTS
from serdes.decoding import TopicDecoder
from serdes.registry.ids import counted_ids
from state.kafka.command_log import Appended
from state.records.event import EventEncoder
from state.views.events.catalogue import CatalogueReading, Events
from state.views.following.ages import boot_clock_ns

IDS = counted_ids()
ENCODE = EventEncoder(IDS)


class FollowedEvents(Events):
    """A catalogue whose brokers tell at once where the log ends.

    is_cut_off: while True, they tell nothing.
    """

    is_cut_off = False

    def __init__(self, log: "EventLog") -> None:
        super().__init__(TopicDecoder(EVENTS, IDS))
        self.log = log
        self.reading = self.new_reading(1)

    def refresh(self) -> None:
        if self.is_cut_off:
            return
        self.log.is_asked = True
        self.reading.partitions[0].ends_at(len(self.log.records), boot_clock_ns())
        self.refreshed()


class EventLog(LogInMemory):
    """Appends at once, and hands records to the catalogues that follow it.

    error:   raised instead of appending.
    is_asked: somebody has asked where it ends.
    holds:   while True, records wait until `release` is called.
    before:  called before each append, for what happens at that moment.
    """

    partitions = 1

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes]] = []
        self.error: Exception | None = None
        self.is_asked = False
        self.holds = False
        self.before: Callable[[], None] = lambda: None
        self._followers: list[tuple[Events, CatalogueReading]] = []

    def catalogue(self) -> FollowedEvents:
        """Return a catalogue that has read everything."""
        view = FollowedEvents(self)
        view.publish(view.reading)
        self._followers.append((view, view.reading))
        self._catch_up()
        return view

    async def send(
        self, key: bytes, value: bytes, *, partition: int, headers: Headers = ()
    ) -> Appended:
        assert partition == 0
        assert all(isinstance(value, bytes) for _, value in headers)
        self.before()
        if self.error is not None:
            raise self.error
        return self.append(key, value)

    def append(self, key: bytes, value: bytes) -> Appended:
        self.records.append((key, value))
        if not self.holds:
            self._catch_up()
        return Appended(0, len(self.records) - 1)

    def release(self) -> None:
        self.holds = False
        self._catch_up()

    def _catch_up(self) -> None:
        for view, reading in self._followers:
            position = reading.partitions[0].position
            told = [reading.apply(key, value) for key, value in self.records[position:]]
            if told:
                reading.partitions[0].reached(len(self.records))
                view.changed(reading, told)
