"""What answers about purchases and tickets look like."""

import asyncio
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from api.access.ticket_keys import TicketKeys
from state.domain.issued.purchase import IssuedPurchase, IssuedTicket

_AT_ONCE: Final = 32
"""Tickets that are signed in one go, about a millisecond; then others are served."""


class TicketBody(BaseModel):
    """One seat that is the caller's. The door checks its code with the keys of the JWKS."""

    ticket_id: str
    purchase_id: str
    event_id: int
    section: str
    row: int = Field(description="Index from 0, as in the section's seat map.")
    seat: int = Field(description="Index from 0 in its row.")
    booking_number: str
    code: str | None = Field(description="A signed JSON Web Token; null where the pod signs none.")


class PurchaseBody(BaseModel):
    """All that the caller has bought of one event.

    ENDED: all of it was refunded.
    """

    purchase_id: str
    event_id: int
    status: Literal["ACTIVE", "ENDED"]
    revision: int = Field(description="Rises with each change.")
    tickets: list[TicketBody]


def ticket_body(
    purchase: IssuedPurchase, ticket: IssuedTicket, keys: TicketKeys
) -> dict[str, Any]:
    """Return the members of a TicketBody."""
    order = ticket.order
    body = {
        "ticket_id": ticket.id,
        "purchase_id": purchase.purchase_id.decode(),
        "event_id": purchase.event_id,
        "section": ticket.section.decode(),
        "row": ticket.row,
        "seat": ticket.seat,
        "booking_number": order.booking_number.decode(),
    }
    return {**body, "code": keys.code(claims_of(purchase, ticket)) if keys.can_sign else None}


def claims_of(purchase: IssuedPurchase, ticket: IssuedTicket) -> dict[str, Any]:
    """Return what a ticket's code says; of its buyer it says nothing.

    iat: when the seats were sold, Unix s, to the millisecond. Of two codes for one seat the later
    one is good: the seat was given back in between.
    """
    return {
        "sub": ticket.id,
        "iat": ticket.order.changed_at_ms / 1000,
        "event": purchase.event_id,
        "section": ticket.section.decode(),
        "row": ticket.row,
        "seat": ticket.seat,
        "booking": ticket.order.booking_number.decode(),
    }


async def purchase_body(purchase: IssuedPurchase, keys: TicketKeys) -> dict[str, Any]:
    """Return the members of a PurchaseBody; a box office has thousands of tickets."""
    tickets = []
    for number, ticket in enumerate(purchase.tickets(), 1):
        tickets.append(ticket_body(purchase, ticket, keys))
        if not number % _AT_ONCE:
            await asyncio.sleep(0)
    return {
        "purchase_id": purchase.purchase_id.decode(),
        "event_id": purchase.event_id,
        "status": "ACTIVE" if purchase.is_active else "ENDED",
        "revision": purchase.revision,
        "tickets": tickets,
    }
