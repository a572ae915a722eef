"""An event's stored description to its working form and back."""

from typing import Final

from schemas.topics import EVENTS
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds
from state.domain.carts.limits import Limits
from state.domain.event import Event, EventStatus, SectionDescription
from state.records.names import EventDescription

_RECORD: Final = "io.seatstream.events.EventDescription"


def event_key(event_id: int) -> bytes:
    """Return the record key of an event."""
    return b"%d" % event_id


def event_of(told: EventDescription) -> Event:
    """Return the event of a decoded record, whose status is not UNSPECIFIED."""
    return Event(
        event_id=told.event_id,
        name=told.name.decode(),
        venue=told.venue.decode(),
        starts_at_ms=told.starts_at_ms,
        sale_starts_ms=told.sale_starts_ms,
        sale_ends_ms=told.sale_ends_ms,
        status=EventStatus(told.status),
        revision=told.revision,
        sections=tuple(
            SectionDescription(
                section.decode(),
                name.decode(),
                capacity,
                layout_version,
                tuple(category.decode() for category in categories),
                amounts,
            )
            for section, name, capacity, layout_version, categories, amounts in told.sections
        ),
        opening_digest=told.opening_digest.decode(),
        opened_by=told.opened_by.decode(),
        changed_at_ms=told.changed_at_ms,
        currency=told.currency.decode(),
        limits=Limits(told.max_seats_per_user, told.max_open_holds_per_user),
        admission_required=told.admission_required,
    )


class EventEncoder:
    """Events to values of the wire, header included."""

    def __init__(self, ids: SchemaIds) -> None:
        self._encode = encoders(EVENTS, ids)[_RECORD]

    def __call__(self, event: Event) -> bytes:
        """Return the value; a reader takes at most `VALUE_BYTES_MAX`."""
        return self._encode(
            event.event_id,
            event.name.encode(),
            event.venue.encode(),
            event.starts_at_ms,
            event.sale_starts_ms,
            event.sale_ends_ms,
            int(event.status),
            event.revision,
            tuple(
                (
                    section.section.encode(),
                    section.name.encode(),
                    section.capacity,
                    section.layout_version,
                    tuple(category.encode() for category in section.categories),
                    section.amounts,
                )
                for section in event.sections
            ),
            event.opening_digest.encode(),
            event.opened_by.encode(),
            event.changed_at_ms,
            event.currency.encode(),
            *event.limits,
            event.admission_required,
        )
