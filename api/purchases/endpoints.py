"""Purchases over HTTP: a buyer sees what is bought, and the tickets with their codes.

What is shown is what the role that issues has stored. It is asked at the owner of the partition
that the purchase's id names.
"""

from importlib import import_module
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from api.access.identity import Identity
from api.guard import LOOKS, Buyer, pod_of
from api.pod import Pod
from api.purchases.bodies import PurchaseBody, TicketBody, claims_of, purchase_body, ticket_body
from api.standing import UNANSWERED
from api.web.answers import json_answer
from api.web.problems import Problem, told_as
from api.web.whole_numbers import Int64
from schemas.topics import PURCHASE_CONFIRMED
from state.domain.issued.purchase import IssuedPurchase, IssuedTicket, purchase_id
from state.domain.keys import ISSUED, buyer_key, split_issued_id
from state.domain.reasons import ApiReason
from state.records.issued.codecs import issued_purchase

router = APIRouter(tags=["purchases"])

PurchaseIdInPath = Annotated[str, Path(pattern=r"^[a-z2-7]{26}-(0|[1-9][0-9]{0,5})$")]
TicketIdInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,150}$")]

SVG: Final = "image/svg+xml"
PNG: Final = "image/png"

_NO_PURCHASE: Final = "There is no such purchase of yours, or it is not issued yet."
_NO_TICKET: Final = "There is no such ticket, or its order was refunded."
_NO_CODE: Final = "This pod signs no tickets, or draws none."

_TICKET: Final = "/v1/purchases/{purchase_id}/tickets/{ticket_id}"


@router.get("/v1/purchases", response_model=PurchaseBody, dependencies=LOOKS)
async def find_purchase(
    request: Request,
    who: Buyer,
    event_id: Annotated[Int64, Query(description="Id of the event.")],
) -> Response:
    """Show what the caller has bought of an event."""
    pod = pod_of(request)
    user = who.user_id.encode()
    partition = pod.desk.partition_of(buyer_key(event_id, user))
    found = await _purchase(pod, purchase_id(user, event_id, partition), who)
    return json_answer(await purchase_body(found, pod.ticket_keys))


@router.get("/v1/purchases/{purchase_id}", response_model=PurchaseBody, dependencies=LOOKS)
async def show_purchase(request: Request, purchase_id: PurchaseIdInPath, who: Buyer) -> Response:
    """Show a purchase and its tickets."""
    pod = pod_of(request)
    found = await _purchase(pod, purchase_id, who)
    return json_answer(await purchase_body(found, pod.ticket_keys))


@router.get(_TICKET, response_model=TicketBody, dependencies=LOOKS)
async def show_ticket(
    request: Request, purchase_id: PurchaseIdInPath, ticket_id: TicketIdInPath, who: Buyer
) -> Response:
    """Show one ticket."""
    found, ticket = await _ticket(request, purchase_id, ticket_id, who)
    return json_answer(ticket_body(found, ticket, pod_of(request).ticket_keys))


@router.get(
    _TICKET + "/qr",
    response_class=Response,
    responses={
        200: {"content": {SVG: {}, PNG: {}}, "description": "The code, to be scanned."},
    },
    dependencies=LOOKS,
)
async def draw_ticket(
    request: Request,
    purchase_id: PurchaseIdInPath,
    ticket_id: TicketIdInPath,
    who: Buyer,
    wanted: Annotated[
        Literal["svg", "png"] | None,
        Query(alias="format", description="By default as `Accept` says, else `svg`."),
    ] = None,
) -> Response:
    """Draw the code of a ticket, as an SVG document or a PNG picture."""
    found, ticket = await _ticket(request, purchase_id, ticket_id, who)
    keys = pod_of(request).ticket_keys
    if not keys.can_sign:
        raise Problem.of(ApiReason.NOT_FOUND, _NO_CODE)
    code = keys.code(claims_of(found, ticket))
    accepted = request.headers.get("accept", "")
    is_png = wanted == "png" or (wanted is None and PNG in accepted and SVG not in accepted)
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    return Response(
        _drawn(code, is_png=is_png), media_type=PNG if is_png else SVG, headers=headers
    )


def _drawn(code: str, *, is_png: bool) -> bytes:
    try:
        # What draws is an extra: who shows codes in another way needs no package for it.
        drawing = import_module("api.purchases.drawn")
    except ModuleNotFoundError as error:
        raise Problem.of(ApiReason.NOT_FOUND, _NO_CODE) from error
    drawn: bytes = drawing.qr_picture(code) if is_png else drawing.qr_code(code)
    return drawn


async def _purchase(pod: Pod, own_id: str, who: Identity) -> IssuedPurchase:
    """Return a purchase of the caller; raises Problem (404, 503)."""
    parts = split_issued_id(own_id)
    assert parts is not None
    stored = None
    with told_as(UNANSWERED):
        if parts.partition < pod.commands.partitions:
            key = ISSUED + own_id.encode()
            stored = await pod.issued.get(PURCHASE_CONFIRMED.name, parts.partition, key)
    found = None if stored is None else issued_purchase(stored)
    if found is None or found.user_id != who.user_id.encode():
        raise Problem.of(ApiReason.NOT_FOUND, _NO_PURCHASE)
    return found


async def _ticket(
    request: Request, own_id: str, ticket_id: str, who: Identity
) -> tuple[IssuedPurchase, IssuedTicket]:
    """Return a ticket of the caller and its purchase; raises Problem (404, 503)."""
    purchase = await _purchase(pod_of(request), own_id, who)
    for ticket in purchase.tickets():
        if ticket.id == ticket_id:
            return purchase, ticket
    raise Problem.of(ApiReason.NOT_FOUND, _NO_TICKET)
