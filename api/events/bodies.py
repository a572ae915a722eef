"""What requests and answers about events look like."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.web.ids import EventId
from state.domain.event import Event, SaleState, SectionDescription, sale_state
from state.domain.layout import (
    HOLD_MS_MAX,
    PAYMENT_MS_MAX,
    SEATS_PER_HOLD_MAX,
    TIME_MS_MAX,
    Rules,
)

NAME_BYTES_MAX: Final = 200
LIMIT_MAX: Final = 1_000
NOT_FOR_SALE_MAX: Final = 100

_DEFAULTS: Final = Rules()


class Opening(BaseModel):
    """An event to open: what it is called, when it is sold, and its seats.

    `plan` is a seating plan in the pretix format (`name`, `categories`, `zones`) or in the short
    form: `{"event": ..., "sections": [{"section": "A", "rows": 20, "seats": 50}]}`. Either may
    have prices: `"currency": "EUR", "prices": {"front": 4500}`, by category, in the minor unit.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    event_id: EventId
    name: str = Field(min_length=1, max_length=NAME_BYTES_MAX)
    venue: str = Field("", max_length=NAME_BYTES_MAX)
    starts_at_ms: int = Field(ge=0, le=TIME_MS_MAX, description="When it begins, Unix ms.")
    sale_starts_ms: int = Field(0, ge=0, le=TIME_MS_MAX, description="Unix ms; 0 for at once.")
    sale_ends_ms: int | None = Field(
        None, ge=1, le=TIME_MS_MAX, description="Unix ms; by default when the event begins."
    )
    orphan_rule: Literal["prefer", "strict", "off"] = Field(
        "prefer", description="Whether a hold may leave a single free seat."
    )
    max_seats_per_hold: int = Field(_DEFAULTS.max_seats_per_hold, ge=1, le=SEATS_PER_HOLD_MAX)
    hold_ms: int = Field(_DEFAULTS.hold_ms, ge=1, le=HOLD_MS_MAX)
    max_hold_ms: int = Field(_DEFAULTS.max_hold_ms, ge=1, le=HOLD_MS_MAX)
    payment_ms: int = Field(
        _DEFAULTS.payment_ms,
        ge=1,
        le=PAYMENT_MS_MAX,
        description="How long a payment may take; its hold does not lapse meanwhile.",
    )
    max_seats_per_user: int = Field(
        0,
        ge=0,
        le=LIMIT_MAX,
        description="Seats that one buyer may hold or have bought; 0 for no limit. With a limit, "
        "seats are held by carts only.",
    )
    max_open_holds_per_user: int = Field(
        0,
        ge=0,
        le=LIMIT_MAX,
        description="Holds that one buyer may have before they are sold; 0 for no limit. With a "
        "limit, seats are held by carts only.",
    )
    plan: dict[str, Any]
    not_for_sale: list[Annotated[str, Field(max_length=NAME_BYTES_MAX)]] = Field(
        [],
        max_length=NOT_FOR_SALE_MAX,
        description="Categories of the plan whose seats are opened as blocked.",
    )
    admission_required: bool = Field(
        default=False,
        description="Who asks for seats has to be let in from the waiting room first.",
    )


class AdmissionDemand(BaseModel):
    """Whether who asks for seats has to be let in from the waiting room first."""

    model_config = ConfigDict(extra="forbid", strict=True)

    required: bool


class EventBody(BaseModel):
    """An event as a buyer sees it in a list.

    `sale_state` follows from the times: `opening` (not every section is open yet), `upcoming`,
    `on_sale`, `closed`, `past` (the event has begun). Whether a hold is taken, the log decides.
    `currency` is that of all prices, empty where seats have none.
    """

    event_id: int
    name: str
    venue: str
    starts_at_ms: int
    sale_starts_ms: int
    sale_ends_ms: int
    sale_state: SaleState
    revision: int
    capacity: int
    sections: int
    currency: str = Field(description="ISO 4217, or empty.")
    max_seats_per_user: int = Field(description="0 for no limit.")
    max_open_holds_per_user: int = Field(description="0 for no limit.")
    admission_required: bool = Field(
        description="Whether seats are asked for with an entry token of the waiting room."
    )


class EventPage(BaseModel):
    """Some events, by their begin; `next_cursor` asks for those behind them."""

    events: list[EventBody]
    next_cursor: str | None = Field(None, description="Opaque; absent on the last page.")


class SectionBody(BaseModel):
    """One section: `categories` in order of first use from the front row.

    `prices` has what a seat of each category costs, in the minor unit of the event's currency;
    it is empty where seats have no price.
    """

    section: str
    name: str
    capacity: int
    layout_version: int
    categories: list[str]
    prices: dict[str, int]


class EventSections(BaseModel):
    """Every section of an event, in the order of its plan."""

    event_id: int
    revision: int
    currency: str = Field(description="ISO 4217, or empty.")
    sections: list[SectionBody]


class ChangedEvent(EventBody):
    """An event after a command about it.

    `pending_sections` names sections, at most a hundred, whose answer is outstanding: repeat the
    request with the same key.
    """

    pending_sections: list[str] = []


def event_body(event: Event, now_ms: int) -> dict[str, Any]:
    """Return what EventBody says of an event."""
    return {
        "event_id": event.event_id,
        "name": event.name,
        "venue": event.venue,
        "starts_at_ms": event.starts_at_ms,
        "sale_starts_ms": event.sale_starts_ms,
        "sale_ends_ms": event.sale_ends_ms,
        "sale_state": sale_state(event, now_ms),
        "revision": event.revision,
        "capacity": event.capacity,
        "sections": len(event.sections),
        "currency": event.currency,
        "max_seats_per_user": event.limits.max_seats,
        "max_open_holds_per_user": event.limits.max_open_holds,
        "admission_required": event.admission_required,
    }


def section_body(section: SectionDescription) -> dict[str, Any]:
    """Return what SectionBody says of a section."""
    told = section._asdict()
    amounts = told.pop("amounts")
    return told | {"prices": dict(zip(section.categories, amounts, strict=False))}
