"""An event beside its seats: its life, its sale at a time, and whether a search finds it."""

import unicodedata
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, NamedTuple

from state.domain.carts.limits import UNLIMITED, Limits
from state.domain.layout import TIME_MS_MAX


class EventStatus(IntEnum):
    """How far an event has come; the number is the index of the symbol in the Avro enum."""

    UNSPECIFIED = 0
    OPENING = 1
    ON_SALE = 2
    CLOSED = 3


class Trigger(StrEnum):
    """What moves an event on."""

    SECTIONS_OPENED = "sections opened"
    SALE_CLOSED = "sale closed"


class SaleState(StrEnum):
    """What a buyer is told; follows from the event and the time."""

    OPENING = "opening"
    UPCOMING = "upcoming"
    ON_SALE = "on_sale"
    CLOSED = "closed"
    PAST = "past"


TRANSITIONS: Final[dict[EventStatus, dict[Trigger, EventStatus]]] = {
    EventStatus.UNSPECIFIED: {},
    EventStatus.OPENING: {
        Trigger.SECTIONS_OPENED: EventStatus.ON_SALE,
        # An opening that will never be finished: what it did open stops selling.
        Trigger.SALE_CLOSED: EventStatus.CLOSED,
    },
    EventStatus.ON_SALE: {Trigger.SALE_CLOSED: EventStatus.CLOSED},
    EventStatus.CLOSED: {},
}


class SectionDescription(NamedTuple):
    """One section as buyers see it in a list; categories in order of first use.

    amounts: the price of a seat of each category, in the minor unit; empty where none has one.
    """

    section: str
    name: str
    capacity: int
    layout_version: int
    categories: tuple[str, ...]
    amounts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One revision of what is known of an event.

    starts_at_ms, sale_starts_ms, sale_ends_ms: Unix ms; of the sale: start inclusive, end
                    exclusive, 0 for no bound.
    revision:       rises by one with each change, from 1.
    opening_digest: of what the event was opened with; the same opening has the same.
    currency:       of all prices; empty where seats have none.
    limits:         what each buyer may have of it; they never change.
    admission_required: who asks for seats has to be let in from the waiting room first.
    """

    event_id: int
    name: str
    venue: str
    starts_at_ms: int
    sale_starts_ms: int
    sale_ends_ms: int
    status: EventStatus
    revision: int
    sections: tuple[SectionDescription, ...]
    opening_digest: str
    opened_by: str
    changed_at_ms: int
    currency: str = ""
    limits: Limits = UNLIMITED
    admission_required: bool = False

    @property
    def capacity(self) -> int:
        """Return the seats of all sections."""
        return sum(section.capacity for section in self.sections)

    def section(self, section_id: str) -> SectionDescription | None:
        """Return one section, or None where the event has none of that id."""
        return next((one for one in self.sections if one.section == section_id), None)


def newer_of(first: Event, second: Event) -> Event:
    """Return the one that stands when both were told, in whatever order and how often.

    The higher revision. Two pods may write the same one: then the event that has come further,
    then the later, and so on through all fields, so that all pods end alike.
    """
    return max(first, second, key=_rank)


def _rank(event: Event) -> tuple[Any, ...]:
    return (
        event.revision,
        event.status,
        event.changed_at_ms,
        event.sale_ends_ms,
        event.sale_starts_ms,
        event.starts_at_ms,
        event.name,
        event.venue,
        event.sections,
        event.opening_digest,
        event.opened_by,
        event.currency,
        event.limits,
        event.admission_required,
    )


def sale_state(event: Event, now_ms: int) -> SaleState:
    """Return what a buyer is told at a time. Whether a hold is taken, the log alone decides."""
    if now_ms >= event.starts_at_ms:
        return SaleState.PAST
    if event.status is EventStatus.CLOSED or 0 < event.sale_ends_ms <= now_ms:
        return SaleState.CLOSED
    if event.status is EventStatus.OPENING:
        return SaleState.OPENING
    if now_ms < event.sale_starts_ms:
        return SaleState.UPCOMING
    return SaleState.ON_SALE


def closing_window(event: Event, now_ms: int) -> tuple[int, int]:
    """Return (start, end) of the sale, in Unix ms, once it is closed at `now_ms`.

    A sale that is over already keeps its window: to close again changes nothing.
    """
    if 0 < event.sale_ends_ms <= now_ms:
        return event.sale_starts_ms, event.sale_ends_ms
    # A sale that has not begun would end before it begins, and no section takes such a window.
    starts_ms = event.sale_starts_ms if event.sale_starts_ms < now_ms else 0
    return starts_ms, now_ms


class TimeFault(NamedTuple):
    """A time that no event can be opened with; `field` as in `Event`."""

    field: str
    needed: str


def time_fault(
    starts_at_ms: int, sale_starts_ms: int, sale_ends_ms: int, now_ms: int
) -> TimeFault | None:
    """Return what is wrong with the times of an event that is opened now, or None.

    sale_starts_ms: 0 for at once. sale_ends_ms: > 0; a sale is over when its event begins.
    """
    if not now_ms < starts_at_ms <= TIME_MS_MAX:
        return TimeFault("starts_at_ms", "in the future")
    if not 0 < sale_ends_ms <= starts_at_ms:
        return TimeFault("sale_ends_ms", "at most that of the event's begin")
    if sale_ends_ms <= now_ms:
        return TimeFault("sale_ends_ms", "in the future")
    if not 0 <= sale_starts_ms < sale_ends_ms:
        return TimeFault("sale_starts_ms", "before the end of the sale")
    return None


def searchable(text: str) -> str:
    """Return a text without case, accents and repeated spaces."""
    # Some letters, such as bold ones of mathematics, have a case only once they are plain.
    folded = unicodedata.normalize("NFKD", text).casefold()
    plain = unicodedata.normalize("NFKD", folded)
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).split())


def is_found(wanted: str, text: str) -> bool:
    """Say whether every word wanted occurs in a text, in any order; both are searchable."""
    return all(word in text for word in wanted.split())
