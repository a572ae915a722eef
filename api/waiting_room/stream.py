"""Where users stand, pushed every second as server-sent events.

    GET /v1/events/{event}/waiting-room/stream

place: where the user stands, whenever that has changed. hold: the waiting room cannot be reached;
every place is kept. A connection is a sign of life, as a question is. Who comes back with the id
of the last event is told nothing that was told already; who reads too slowly is told the newest
place alone, and dropped when nothing is taken at all.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from time import monotonic
from typing import Final

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from api.admission.desk import Stand
from api.guard import buyer, buyer_in, pod_of
from api.pod import Pod
from api.streaming.client import Direct
from api.streaming.following import Follower, Followers, LastEventId, described
from api.waiting_room.bodies import place_body
from api.web.ids import EventIdInPath
from api.web.problems import Problem, bad
from api.web.requests import Receive, Scope, Send
from api.web.whole_numbers import whole_in
from state.domain.reasons import ApiReason
from state.redis.waiting.rooms import LOOKED_AT_MAX

PREFIX: Final = "/v1/events/"
SUFFIX: Final = "/waiting-room/stream"


class PlaceStreams(Followers[int]):
    """All streams of one pod: one look at Redis for a hundred of them, every second."""

    def __init__(self, pod: Pod) -> None:
        super().__init__("waiting rooms", pod.draining, pod.settings.streams_per_user)
        self._pod = pod

    async def follow(
        self, event_id: int, user_id: str, last_event_id: str, receive: Receive, send: Send
    ) -> None:
        """Stream until the client has gone, or until it is dropped; raises Problem before."""
        self.check_open()
        with self._room.of(user_id):
            # Refusals are those of a question.
            stand = await self._pod.waiting.look(event_id, user_id)
            follower = self.follower(user_id, last_event_id)
            first = self._frame(event_id, follower, stand)
            await self.serve(event_id, follower, first, receive, send)

    async def look(self, group: int) -> None:
        await asyncio.gather(*map(self._look_at, list(self._followers)))
        users = {follower.user_id for follower in self.all() if follower.group == group}
        await self._pod.waiting.keep_waiting(users)

    async def _look_at(self, event_id: int) -> None:
        by_user: dict[str, list[Follower]] = {}
        for follower in self._followers.get(event_id, ()):
            by_user.setdefault(follower.user_id, []).append(follower)
        users, waiting = list(by_user), self._pod.waiting
        for first in range(0, len(users), LOOKED_AT_MAX):
            part = users[first : first + LOOKED_AT_MAX]
            try:
                room, places = await waiting.look_all(event_id, part, is_streamed=True)
            except Problem as problem:
                if problem.reason is ApiReason.OVERLOADED:
                    # Told at the next tick.
                    continue
                room, places = None, ()
            stands = [None if room is None else Stand(room, place) for place in places]
            self._tell(event_id, by_user, part, stands or [None] * len(part))

    def _tell(
        self,
        event_id: int,
        by_user: dict[str, list[Follower]],
        users: Sequence[str],
        stands: Sequence[Stand | None],
    ) -> None:
        now_s = monotonic()
        for user, stand in zip(users, stands, strict=True):
            for follower in by_user[user]:
                # Who has not taken the last one is told the newest once that is gone.
                if follower.has_frames():
                    continue
                frame = self._frame(event_id, follower, stand)
                if frame is not None:
                    follower.offer(frame, now_s)

    def _frame(self, event_id: int, follower: Follower, stand: Stand | None) -> bytes | None:
        """Return what a follower has to be told; None where it knows."""
        if stand is None:
            return follower.hold()
        here = id_of(stand)
        if follower.told == here:
            return None
        follower.told = here
        body = place_body(event_id, follower.user_id, stand, self._pod.waiting.passes)
        return b"event: place\nid: %b\ndata: %b\n\n" % (here.encode(), orjson.dumps(body))


def id_of(stand: Stand) -> str:
    """Return what stands for all that a user has to be told of a stand."""
    room, place = stand.room, stand.place
    sold = "sold" if room.is_sold_out else "some"
    # Of texts, whether they are others is enough.
    message = orjson.dumps(room.message).hex()[-16:]
    # Of a lot that is not drawn nothing is told.
    turn, rank = (0, 0) if stand.is_undrawn else (place.turn, place.rank)
    return f"{stand.state}-{turn}-{rank}-{room.state}-{sold}-{message}"


def streams_of(pod: Pod) -> PlaceStreams:
    """Return the streams of a pod, made when first asked for."""
    return pod.made(PlaceStreams)


async def answer(pod: Pod, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a stream; raises Problem."""
    who, last_event_id = buyer_in(pod, scope)
    path: str = scope["path"]
    event_id = whole_in(path[len(PREFIX) : -len(SUFFIX)])
    if event_id is None:
        bad("path.event_id", "a whole number from 0 to 2^63 - 1")
    await streams_of(pod).follow(event_id, who.user_id, last_event_id, receive, send)


router: Final = APIRouter(tags=["waiting rooms"], dependencies=[Depends(buyer)])


@router.get(
    "/v1/events/{event_id}/waiting-room/stream",
    response_class=Direct,
    status_code=200,
    responses={200: described("Server-sent events: place, hold; see the manual.")},
)
async def place_stream(
    request: Request,
    event_id: EventIdInPath,  # noqa: ARG001
    last_event_id: LastEventId = None,  # noqa: ARG001
) -> Response:
    """Follow where the user stands as it changes."""
    return Direct(partial(answer, pod_of(request)))
