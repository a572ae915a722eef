"""Waiting rooms over HTTP: enter, ask where one stands, leave; and how an operator runs one.

Nothing here has an idempotency key, for nothing can be done twice: who enters again has the same
turn, who leaves again has left.
"""

from fastapi import APIRouter, Depends, Request, Response

from api.admission.desk import no_room
from api.guard import LOOKS, Buyer, anyone, limited, operator, pod_of
from api.waiting_room.bodies import (
    Entering,
    LotsBody,
    PlaceBody,
    RoomBody,
    RoomChange,
    lots_body,
    place_body,
    room_body,
)
from api.web.answers import json_answer
from api.web.ids import EventIdInPath
from state.redis.waiting.rooms import Entry

router = APIRouter(tags=["waiting rooms"])


@router.post(
    "/v1/events/{event_id}/waiting-room",
    status_code=201,
    response_model=PlaceBody,
    responses={200: {"model": PlaceBody, "description": "The user was there already."}},
    dependencies=limited("create"),
)
async def enter_waiting_room(
    request: Request, event_id: EventIdInPath, body: Entering, who: Buyer
) -> Response:
    """Wait for an event. Who waits already, or is let in, stays where they are."""
    desk = pod_of(request).waiting
    stand = await desk.enter(event_id, who.user_id, body.queue_token)
    is_new = stand.entry in {Entry.NEW, Entry.RESTORED}
    told = place_body(event_id, who.user_id, stand, desk.passes, is_entering=True)
    return json_answer(told, 201 if is_new else 200)


@router.get(
    "/v1/events/{event_id}/waiting-room",
    response_model=PlaceBody,
    dependencies=LOOKS,
)
async def show_place(request: Request, event_id: EventIdInPath, who: Buyer) -> Response:
    """Tell where the user stands; to ask is a sign of life."""
    desk = pod_of(request).waiting
    stand = await desk.look(event_id, who.user_id)
    return json_answer(place_body(event_id, who.user_id, stand, desk.passes))


@router.delete(
    "/v1/events/{event_id}/waiting-room",
    response_model=PlaceBody,
    dependencies=limited("cancel"),
)
async def leave_waiting_room(request: Request, event_id: EventIdInPath, who: Buyer) -> Response:
    """Give the turn up, or make room for the next one. A repeat gets the same answer."""
    desk = pod_of(request).waiting
    await desk.leave(event_id, who.user_id)
    stand = await desk.look(event_id, who.user_id)
    return json_answer(place_body(event_id, who.user_id, stand, desk.passes))


@router.post(
    "/v1/events/{event_id}/waiting-room/state",
    response_model=RoomBody,
    dependencies=[Depends(operator), *limited("other")],
)
async def run_waiting_room(
    request: Request, event_id: EventIdInPath, body: RoomChange
) -> Response:
    """Set a waiting room up, or change how it is run: open, pause, close, cap, rate, message."""
    desk = pod_of(request).waiting
    room = await desk.configure(
        event_id, body.room_state, body.cap, body.per_minute, body.message, body.opens_ms
    )
    return json_answer(room_body(event_id, room))


@router.get(
    "/v1/events/{event_id}/waiting-room/state",
    response_model=RoomBody,
    dependencies=[Depends(operator), *limited("other")],
)
async def show_waiting_room(request: Request, event_id: EventIdInPath) -> Response:
    """Show how a waiting room is run, how many wait, and how fast they are let in."""
    room, _ = await pod_of(request).waiting.look_all(event_id, ())
    if room is None:
        raise no_room()
    return json_answer(room_body(event_id, room))


@router.get("/v1/events/{event_id}/waiting-room/lots", response_model=LotsBody, dependencies=LOOKS)
async def show_lots(request: Request, event_id: EventIdInPath) -> Response:
    """Show by what who entered before the opening is drawn: whoever has the seed reckons lots."""
    desk = pod_of(request).waiting
    room, seed = await desk.lots_of(event_id)
    return json_answer(lots_body(event_id, room, seed))


@router.get("/v1/waiting-room-keys", dependencies=[Depends(anyone)])
async def show_waiting_room_keys(request: Request) -> Response:
    """Show the public keys (JWKS) that queue tokens and entry tokens are checked with."""
    passes = pod_of(request).waiting.passes
    return json_answer({"keys": []} if passes is None else passes.jwks)
