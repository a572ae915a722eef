"""Where an item of the booking queue stands, pushed as server-sent events.

    GET /v1/booking-queue/{queue_item_id}/events

An event is called by what has happened (S004.4): booking:queue_position, booking:processing,
ticket:reserved, booking:failed or booking:cancelled. hold: the queue cannot be reached; what is in
it stays. Once the item is over the stream ends; who comes back with the id of that last event is
answered 204, by which a browser asks no more.
"""

import asyncio
from functools import partial
from time import monotonic
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response

from api.booking.looking import looks_of
from api.guard import buyer, buyer_in, pod_of
from api.pod import Pod
from api.streaming.client import Direct
from api.streaming.following import Follower, Followers, LastEventId, described
from api.web.logs import log
from api.web.problems import Problem, bad, told_as
from api.web.requests import Receive, Scope, Send
from state.domain.booking_queue.figures import expected_wait_ms
from state.domain.booking_queue.items import ITEM_ID, Item
from state.domain.booking_queue.notices import mark_of, notice_of
from state.domain.booking_queue.queue import QueueAway, QueueUnreadable
from state.domain.booking_queue.statuses import OVER
from state.domain.reasons import ApiReason
from state.records.booking_queue.wishes import WishUnreadable, decoded_outcome

PREFIX: Final = "/v1/booking-queue/"
SUFFIX: Final = "/events"


class ItemStreams(Followers[str]):
    """All streams of one pod: one look at each item that somebody follows, every second."""

    def __init__(self, pod: Pod) -> None:
        super().__init__("booking queue", pod.draining, pod.settings.streams_per_user)
        self._pod = pod

    async def follow(
        self, item_id: str, user_id: str, last_event_id: str, receive: Receive, send: Send
    ) -> None:
        """Stream until the item is over, or its client has gone; raises Problem before."""
        self.check_open()
        with self._room.of(user_id):
            with told_as({QueueAway: (ApiReason.NOT_READY, "The queue cannot be reached now.")}):
                item = await self._pod.booking.queue.look(item_id)
            # Not "forbidden": whether somebody else's item exists is nobody's business.
            if item is None or item.user_id != user_id:
                raise Problem.of(ApiReason.NOT_FOUND, "There is no such item, or no more.")
            if item.status in OVER and id_of(item) == last_event_id:
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            follower = self.follower(user_id, last_event_id)
            await self.serve(item_id, follower, _frame(follower, item), receive, send)

    async def look(self, group: int) -> None:  # noqa: ARG002  (a look is no sign of life)
        await asyncio.gather(*map(self._look_at, list(self._followers)))

    async def _look_at(self, item_id: str) -> None:
        try:
            item = await looks_of(self._pod).look(item_id)
            is_away = False
        except QueueAway:
            item, is_away = None, True
        except QueueUnreadable as error:
            log.error("an item of the booking queue is none of ours: %s", error)
            item, is_away = None, False
        for follower in tuple(self._followers.get(item_id, ())):
            # Who has not taken the last one is told the newest once that is gone.
            if not follower.has_frames():
                self._tell(follower, item, is_away=is_away)

    @staticmethod
    def _tell(follower: Follower, item: Item | None, *, is_away: bool) -> None:
        try:
            frame = follower.hold() if item is None else _frame(follower, item)
        except WishUnreadable as error:
            log.error("what became of an item of the booking queue is none of ours: %s", error)
            item = frame = None
        if item is None and not is_away:
            # Nobody can say anything of it any more: who comes back is told so.
            follower.end()
        elif frame is not None:
            follower.offer(frame, monotonic())


def id_of(item: Item) -> str:
    return mark_of(item.status, item.position, item.attempts, item.round)


def _frame(follower: Follower, item: Item) -> bytes | None:
    """Return what a follower has to be told; None where it knows. Raises WishUnreadable."""
    here = id_of(item)
    follower.has_all = item.status in OVER
    if follower.told == here:
        return None
    follower.told = here
    carried = decoded_outcome(item.outcome)
    body = {
        "queue_item_id": item.id,
        "event_id": item.event_id,
        "status": item.status,
        "position": item.position,
        "estimated_wait_ms": expected_wait_ms(item.position),
        "attempts": item.attempts,
        "enqueued_at_ms": item.enqueued_ms,
        "expires_at_ms": item.expires_ms,
        "reservation_id": carried.reservation_id,
        "reason": item.reason or carried.reason,
    }
    name = notice_of(item.status, carried).encode()
    return b"event: %b\nid: %b\ndata: %b\n\n" % (name, here.encode(), orjson.dumps(body))


def streams_of(pod: Pod) -> ItemStreams:
    """Return the streams of a pod, made when first asked for."""
    return pod.made(ItemStreams)


async def answer(pod: Pod, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a stream; raises Problem."""
    who, last_event_id = buyer_in(pod, scope)
    path: str = scope["path"]
    item_id = path[len(PREFIX) : -len(SUFFIX)]
    if ITEM_ID.fullmatch(item_id) is None:
        bad("path.queue_item_id", "an id that EnqueueBooking has given out")
    await streams_of(pod).follow(item_id, who.user_id, last_event_id, receive, send)


router: Final = APIRouter(tags=["booking queue"], dependencies=[Depends(buyer)])


@router.get(
    "/v1/booking-queue/{queue_item_id}/events",
    response_class=Direct,
    status_code=200,
    responses={
        200: described("Server-sent events; see the manual."),
        204: {"description": "The item is over, and `Last-Event-ID` is that of the last event."},
    },
)
async def item_stream(
    request: Request,
    queue_item_id: Annotated[str, Path(pattern=f"^{ITEM_ID.pattern}$")],  # noqa: ARG001
    last_event_id: LastEventId = None,  # noqa: ARG001
) -> Response:
    """Follow where a request in the booking queue stands as it changes."""
    return Direct(partial(answer, pod_of(request)))
