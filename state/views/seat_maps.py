"""Seat maps of sections that are asked for often, so that their owners are not.

A kept map is served while the availability view, which hears of every change, knows no higher
version; and for `YOUNG_MS` whatever happens, so that a section that changes a hundred times a
second costs its owner ten look-ups a second and pod, not one for each buyer who looks.

That its owner has no such section is the answer only where the owner had stored whatever anybody
was told before it was asked for: see `OutcomeFeed.knows_since`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from state.domain.keys import partition_of, section_key
from state.owners.lookup import OwnerNotReady, SectionRecords
from state.views.availability.answers import age_ms, boot_clock_ns
from state.views.availability.statuses import SectionStatuses

YOUNG_MS: Final = 100
SEATS_MAX: Final = 2_000_000

Name = tuple[int, str]


class SectionSource(Protocol):
    """Where sections are looked up when no kept map serves; raises as OwnerLookup does."""

    async def section(self, partition: int, section_key: bytes) -> SectionRecords | None: ...


class Decisions(Protocol):
    """How far the outcomes were read, as OutcomeFeed tells it."""

    def now_ns(self) -> int: ...

    def decided(self, partition: int) -> int: ...

    async def knows_since(self, partition: int, asked_ns: int, timeout_s: float) -> bool: ...


class AbsenceUnsure(Exception):
    """The owner knows no such section, and the brokers do not tell whether that is news.

    Operator action: look at the brokers; at one partition's leader where the rest is answered.
    """


@dataclass(frozen=True, slots=True, eq=False)
class SeatMap:
    """A section as of one moment.

    asked_ns: when the owner was asked, by the cache's clock.
    rendered: what was made of the records, by its kind, kept as long as they are.
    """

    records: SectionRecords
    asked_ns: int
    rendered: dict[str, tuple[bytes, str]] = field(default_factory=dict)


@dataclass(slots=True)
class SeatMapCounters:
    """Maps served from memory, look-ups at owners, and requests that shared one."""

    kept: int = 0
    looked_up: int = 0
    shared: int = 0


class SeatMapCache:
    """The maps that one pod keeps; all methods belong to one loop.

    source:    must cover every decision that `decisions` knows when it is asked.
    certain_s: how long the brokers are asked before nobody dares to deny a section.
    seats_max: capacity of all kept sections together; the longest unused go first.
    """

    def __init__(
        self,
        source: SectionSource,
        view: SectionStatuses,
        decisions: Decisions,
        certain_s: float,
        *,
        seats_max: int = SEATS_MAX,
        clock_ns: Callable[[], int] = boot_clock_ns,
    ) -> None:
        self.counters = SeatMapCounters()
        self._source = source
        self._view = view
        self._decisions = decisions
        self._seats_max = seats_max
        self._certain_s = certain_s
        self._clock_ns = clock_ns
        self._kept: OrderedDict[Name, SeatMap] = OrderedDict()
        self._seats = 0
        self._lookups: dict[Name, asyncio.Task[SeatMap | None]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, event_id: int, section: str, min_version: int = 0) -> SeatMap | None:
        """Return a section's map, or None where nobody was told of one before this was asked.

        min_version: a kept map below it is not served; the owner may still be below it.

        Raises OwnerNotReady, OwnerUnreachable, OwnersBusy, AbsenceUnsure.
        """
        name = (event_id, section)
        kept = self._kept.get(name)
        if kept is not None and self._serves(name, kept, min_version):
            self.counters.kept += 1
            self._kept.move_to_end(name)
            return kept
        return await self._looked_up(name)

    def staleness_ms(self, event_id: int, section: str, seat_map: SeatMap) -> int:
        """Return a bound of a map's age: that of the owner's word, or of the view's."""
        age = age_ms(seat_map.asked_ns, self._clock_ns())
        known = self._view.get(event_id, section)
        if known is not None and known.version == seat_map.records.version:
            return min(age, known.staleness_ms)
        return age

    def _serves(self, name: Name, kept: SeatMap, min_version: int) -> bool:
        version = kept.records.version
        if version < min_version:
            return False
        age = age_ms(kept.asked_ns, self._clock_ns())
        if age <= YOUNG_MS:
            return True
        known = self._view.get(*name)
        if known is None or known.stale:
            return False
        # A lower version is told only while the view lags behind the owner's word; later it
        # contradicts that word, which was about a topic that is gone.
        return known.version == version or (known.version < version and known.staleness_ms > age)

    async def _looked_up(self, name: Name) -> SeatMap | None:
        under_way = self._lookups.get(name)
        if under_way is not None:
            self.counters.shared += 1
            # Whoever goes away takes nothing from the others.
            found = await asyncio.shield(under_way)
            if found is not None:
                return found
            # It was begun before this was asked: somebody may have been told of one meanwhile.
        lookup = self._lookups.get(name)
        if lookup is None:
            self.counters.looked_up += 1
            lookup = self._lookups[name] = asyncio.create_task(self._look_up(name))
            lookup.add_done_callback(lambda done: self._end(name, done))
        return await asyncio.shield(lookup)

    def _end(self, name: Name, lookup: asyncio.Task[SeatMap | None]) -> None:
        del self._lookups[name]
        if not lookup.cancelled():
            # Everybody who asked may be gone: then nobody else would take the error.
            lookup.exception()

    async def _found(self, partition: int, key: bytes) -> SectionRecords | None:
        decisions = self._decisions
        read_ns, decided = decisions.now_ns(), decisions.decided(partition)
        records = await self._source.section(partition, key)
        if records is not None:
            return records
        if not await decisions.knows_since(partition, read_ns, self._certain_s):
            raise AbsenceUnsure(f"partition {partition}")
        if decisions.decided(partition) > decided:
            return await self._source.section(partition, key)
        return None

    async def _look_up(self, name: Name) -> SeatMap | None:
        # Before the owner is asked: what it says is not older.
        asked_ns = self._clock_ns()
        key = section_key(*name)
        # Commands and statuses have as many partitions, which need not be those of the catalogue.
        if not self._view.is_ready():
            raise OwnerNotReady("nobody has said yet how many partitions the topics have")
        partition = partition_of(key, len(self._view.positions()))
        records = await self._found(partition, key)
        former = self._kept.pop(name, None)
        if former is not None:
            self._seats -= former.records.layout.capacity
        if records is None:
            return None
        seat_map = SeatMap(records, asked_ns)
        self._kept[name] = seat_map
        self._seats += records.layout.capacity
        while self._seats > self._seats_max and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._seats -= oldest.records.layout.capacity
        return seat_map
