"""Topics that a pod has in memory, as its parts, and what they count."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from api.parts.part import Given, closed, started
from api.web.metrics import ApiMetrics as Table
from infra.process.metrics import Reading
from state.views.availability.statuses import SectionStatuses
from state.views.events.catalogue import Events
from state.views.following.live import Live
from state.views.outcomes.feed import OutcomeFeed
from state.views.seat_maps import SeatMapCache

ViewT = TypeVar("ViewT", SectionStatuses, OutcomeFeed, Events)


class Followed(Given):
    """A topic in memory; a view that is no `Live` is fed by hand and has no thread."""

    def __init__(
        self, name: str, view: ViewT, readings_of: Callable[[ViewT], Iterable[Reading]]
    ) -> None:
        super().__init__(name, view, readings_of)
        self._view: SectionStatuses | OutcomeFeed | Events = view

    async def start(self) -> None:
        if isinstance(self._view, Live):
            await started(self._view)

    async def close(self) -> None:
        if isinstance(self._view, Live):
            await closed(self._view)

    def readiness(self) -> Mapping[str, bool]:
        return {self.name: self._view.is_ready()}

    def troubles(self) -> Mapping[str, str]:
        return {self.name: self._view.trouble}

    def ended(self) -> Mapping[str, str]:
        error = self._view.failure if isinstance(self._view, Live) else None
        return {self.name: type(error).__name__} if error else {}


class FollowedOutcomes(Followed):
    """The outcomes; who waits for one is answered before the server stops to listen."""

    def __init__(self, outcomes: OutcomeFeed) -> None:
        super().__init__("outcomes", outcomes, of_outcomes)
        self._outcomes = outcomes

    def end_waits(self) -> None:
        self._outcomes.end_waits()


def of_outcomes(outcomes: OutcomeFeed) -> Iterator[Reading]:
    seen = outcomes.statistics()
    yield Table.waiters, seen.waiters
    yield Table.outcomes_records, seen.records
    yield Table.outcomes_bad, seen.bad
    yield Table.outcomes_reservations, seen.reservations
    yield Table.outcomes_bytes, seen.size_bytes
    yield Table.outcomes_staleness_seconds, seen.staleness_ms / 1000


def of_view(view: SectionStatuses) -> Iterator[Reading]:
    seen = view.statistics()
    yield Table.view_lookups, seen.lookups
    yield Table.view_misses, seen.misses
    yield Table.view_refused, seen.refused
    yield Table.view_passed, seen.passed
    yield Table.view_stepped_aside, seen.stepped_aside
    yield Table.view_unknown_passed, seen.unknown_passed
    yield Table.view_too_stale, seen.too_stale
    yield Table.view_not_yet, seen.not_yet
    yield Table.view_records, seen.records
    yield Table.view_older, seen.older
    yield Table.view_contradicted, seen.contradicted
    yield Table.view_readings, seen.readings
    yield Table.view_bad, sum(seen.bad.values())
    yield Table.view_miss_share, seen.miss_share
    yield Table.view_sections, seen.sections
    yield Table.view_staleness_seconds, seen.staleness_ms / 1000


def of_seat_maps(seat_maps: SeatMapCache) -> Iterator[Reading]:
    counters = seat_maps.counters
    yield Table.seat_maps_kept, counters.kept
    yield Table.seat_maps_looked_up, counters.looked_up
    yield Table.seat_maps_shared, counters.shared
    yield Table.seat_maps, len(seat_maps)


def of_events(catalogue: Events) -> Iterator[Reading]:
    seen = catalogue.counters
    yield Table.events, len(catalogue.listing())
    yield Table.events_records, seen.records
    yield Table.events_older, seen.older
    yield Table.events_bad, sum(seen.bad.values())
    yield Table.events_staleness_seconds, catalogue.staleness_ms() / 1000
