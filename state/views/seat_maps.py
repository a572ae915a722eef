"""Keeps seat maps in memory, so that a section many buyers look at costs its owner few look-ups.

A kept map is served while the availability view, which hears of every change, knows no higher
version, and for `YOUNG_MS` in any case. So a section that changes a hundred times a second costs
its owner ten look-ups a second from each pod, and not one for each buyer.

A pod answers that a section does not exist only where its owner had stored all that anybody was
told before the question; see `OutcomeFeed.knows_since`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from state.domain.keys import partition_of, section_key
from state.owners.lookup import SectionRecords
from state.owners.questions import OwnerNotReady
from state.views.availability.statuses import SectionStatuses
from state.views.following.ages import age_ms, boot_clock_ns

YOUNG_MS: Final = 100
SEATS_MAX: Final = 2_000_000

Name = tuple[int, str]


class SectionSource(Protocol):
    """Looks sections up at their owners; raises as OwnerLookup does."""

    async def section(self, partition: int, section_key: bytes) -> SectionRecords | None: ...


class Decisions(Protocol):
    """Tells how far the outcomes were read; an OutcomeFeed."""

    @property
    def partitions(self) -> int: ...

    def now_ns(self) -> int: ...

    def decided(self, partition: int) -> int: ...

    async def knows_since(self, partition: int, asked_ns: int, timeout_s: float) -> bool: ...


class AbsenceUnsure(Exception):
    """The owner knows no such section, and the brokers do not confirm that it is up to date.

    Operator action: look at the brokers. Where other partitions are answered, look at the leader
    of this one.
    """


@dataclass(frozen=True, slots=True, eq=False)
class SeatMap:
    """A section as it was at one moment.

    asked_ns: when the owner was asked, by the cache's clock.
    rendered: answers made of the records, by their kind; kept as long as the records.
    """

    records: SectionRecords
    asked_ns: int
    rendered: dict[str, tuple[bytes, str]] = field(default_factory=dict)


@dataclass(slots=True)
class SeatMapCounters:
    """What the cache counts.

    kept:      maps served from memory.
    looked_up: look-ups at owners.
    shared:    requests that waited for a look-up which another request had begun.
    """

    kept: int = 0
    looked_up: int = 0
    shared: int = 0


class SeatMapCache:
    """The seat maps that one pod keeps; all methods belong to one loop.

    source:    its answer must include every decision that `decisions` knew when it was asked.
    certain_s: how long a request waits for the brokers to confirm that a section does not exist.
    seats_max: limit for the seats of all kept sections together; the longest unused go first.
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
        self._certain_s = certain_s
        self._clock_ns = clock_ns
        self._kept: OrderedDict[Name, SeatMap] = OrderedDict()
        self._seats_max = seats_max
        self._seats = 0
        self._lookups: dict[Name, asyncio.Task[SeatMap | None]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, event_id: int, section: str, min_version: int = 0) -> SeatMap | None:
        """Return a section's map, or None where nobody was told of the section before this call.

        min_version: a kept map below this version is not served; the owner's map may be below it.

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
        """Return a bound of a map's age: since the owner was asked, or the view's if that is less.

        The view's age counts where the view knows the map's version as the newest.
        """
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
        # The view may know a lower version while it has not read what the owner knew. If it has
        # read that far and still knows a lower version, the map is of a topic that is gone.
        return known.version == version or (known.version < version and known.staleness_ms > age)

    async def _looked_up(self, name: Name) -> SeatMap | None:
        under_way = self._lookups.get(name)
        if under_way is not None:
            self.counters.shared += 1
            # Shielded: a request that is cancelled must not cancel the look-up of the others.
            found = await asyncio.shield(under_way)
            if found is not None:
                return found
            # The look-up began before this request, and somebody may have been told of the section
            # since: ask again.
        lookup = self._lookups.get(name)
        if lookup is None:
            self.counters.looked_up += 1
            lookup = self._lookups[name] = asyncio.create_task(self._look_up(name))
            lookup.add_done_callback(lambda done: self._end(name, done))
        return await asyncio.shield(lookup)

    def _end(self, name: Name, lookup: asyncio.Task[SeatMap | None]) -> None:
        del self._lookups[name]
        if not lookup.cancelled():
            # Retrieves the error, for all requests that wait for it may have been cancelled.
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
        # The clock is read before the owner is asked, so its answer is not older than that.
        asked_ns = self._clock_ns()
        key = section_key(*name)
        # The command topic has as many partitions as reservation-outcomes, whose brokers' number
        # may differ from the one in the catalogue of topics, and from that of section-status.
        if not self._decisions.partitions:
            raise OwnerNotReady("nobody has said yet how many partitions the topics have")
        partition = partition_of(key, self._decisions.partitions)
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
