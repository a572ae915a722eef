"""Seats through time: what each outcome did to them, and how they stood between.

A seat stands as the last outcome before left it. Where retention removed that outcome, it stands
as the first one after must have found it; where there is none at all, as the state has it now.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from scripts.auditing.oracle.seats import Place, places_of

Fields = dict[str, Any]


class Use(StrEnum):
    """What a seat is used for; the value is its mark on a map."""

    FREE = "."
    HELD = "h"
    PAYING = "p"
    SOLD = "S"
    BLOCKED = "#"


class Seat(NamedTuple):
    """How a seat stands; holder: reservation id, empty where it has none."""

    use: Use
    holder: str = ""


FREE = Seat(Use.FREE)
BLOCKED = Seat(Use.BLOCKED)

# By the name of an outcome: what a seat was used for before, and what it is used for after it.
_EFFECTS = {
    "SeatsHeld": (Use.FREE, Use.HELD),
    "PaymentStarted": (Use.HELD, Use.PAYING),
    "ReservationConfirmed": (Use.HELD, Use.SOLD),
    "ReservationReleased": (Use.HELD, Use.FREE),
    "ReservationRefunded": (Use.SOLD, Use.FREE),
    "SeatsBlocked": (Use.FREE, Use.BLOCKED),
    "SeatsUnblocked": (Use.BLOCKED, Use.FREE),
}
_OF_NOBODY = {Use.FREE, Use.BLOCKED}


class Position(NamedTuple):
    """Where in the order of a partition an outcome belongs.

    offset: of the command. is_own: False for holds that lapsed, which come before what the
    command itself led to. ordinal: counts those.
    """

    offset: int
    is_own: bool
    ordinal: int


@dataclass(frozen=True, slots=True)
class Event:
    """One outcome; at_ms: log time of the decision, Unix ms."""

    position: Position
    at_ms: int
    name: str
    fields: Fields

    @property
    def reservation_id(self) -> str:
        return str(self.fields["request"]["reservationId"])

    @property
    def places(self) -> list[Place]:
        """Return the seats that it is about, one by one."""
        return places_of(self.fields.get("seats", [])) if self.name in _EFFECTS else []

    def before(self) -> Seat:
        """Return how its seats stood before."""
        use = _EFFECTS[self.name][0]
        return self._of(Use.FREE if self.fields.get("reacquired") else use)

    def after(self) -> Seat:
        """Return how it leaves its seats."""
        return self._of(_EFFECTS[self.name][1])

    def _of(self, use: Use) -> Seat:
        return Seat(use, "" if use in _OF_NOBODY else self.reservation_id)


def event_of(name: str, fields: Fields, partition: int) -> Event | None:
    """Return an outcome as an event, or None where its id is not one of this partition."""
    parts = str(fields["outcomeId"]).split(":")
    numbers = [int(part) for part in parts[1:] if part.isascii() and part.isdecimal()]
    if len(parts) != 4 or len(numbers) != 3 or numbers[0] != partition:
        return None
    position = Position(numbers[1], numbers[2] == 0, numbers[2])
    return Event(position, int(fields["decidedAtMs"]), name, fields)


@dataclass(frozen=True, slots=True)
class Until:
    """A moment: everything up to a command's offset, or up to a time in Unix ms, is included."""

    offset: int | None = None
    at_ms: int | None = None

    def includes(self, event: Event) -> bool:
        """Say whether an event lies before the moment, or in it."""
        if self.offset is not None:
            return event.position.offset <= self.offset
        return self.at_ms is None or event.at_ms <= self.at_ms


NOW = Until()


@dataclass(slots=True)
class Timeline:
    """The outcomes of one section, each once and in order, by the seats that they are about.

    present: how seats stand now, by the state.
    """

    present: Mapping[Place, Seat]
    events: Sequence[Event]
    _by_place: dict[Place, list[Event]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for event in self.events:
            for place in event.places:
                self._by_place.setdefault(place, []).append(event)

    def of_seat(self, place: Place) -> Sequence[Event]:
        """Return what happened to a seat, oldest first."""
        return self._by_place.get(place, [])

    def seat(self, place: Place, until: Until) -> Seat:
        """Return how a seat stood."""
        events = self.of_seat(place)
        past = [event for event in events if until.includes(event)]
        if past:
            return past[-1].after()
        return events[0].before() if events else self.present[place]

    def seats(self, until: Until) -> dict[Place, Seat]:
        """Return how all seats stood."""
        return {place: self.seat(place, until) for place in self.present}

    def just_before(self, event: Event, place: Place) -> Seat:
        """Return how a seat stood when an event was decided."""
        events = self.of_seat(place)
        past = [one for one in events if one.position < event.position]
        if past:
            return past[-1].after()
        return events[0].before() if events else self.present.get(place, FREE)


def in_order(events: Iterable[Event]) -> list[Event]:
    """Return events each once: a repeated command tells its outcome again, under the same id."""
    return [once for _, once in sorted({event.position: event for event in events}.items())]


def largest_run(seats: Mapping[Place, Seat], aisles: Mapping[int, frozenset[int]]) -> int:
    """Return the most adjacent free seats; aisles: by row, indexes of seats behind one."""
    longest = run = 0
    before: Place | None = None
    for (row, number), seat in sorted(seats.items()):
        follows = before == (row, number - 1) and number not in aisles.get(row, frozenset())
        run = (run + 1 if follows else 1) if seat.use is Use.FREE else 0
        longest, before = max(longest, run), (row, number)
    return longest


def each_change(timeline: Timeline, place: Place) -> Iterator[tuple[Event, Seat, Seat]]:
    """Yield what happened to a seat, with how it stood before and after."""
    for event in timeline.of_seat(place):
        yield event, timeline.just_before(event, place), event.after()
