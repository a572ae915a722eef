"""Where users stand, pushed every second as server-sent events.

    GET /v1/events/{event}/waiting-room/stream

place: where the user stands, whenever that has changed. hold: the waiting room cannot be reached;
every place is kept. A connection is a sign of life, as a question is. Who comes back with the id
of the last event is told nothing that was told already; who reads too slowly is told the newest
place alone, and dropped when nothing is taken at all.
"""

import asyncio
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response

from api.access.identity import BUYER
from api.admission.desk import Stand
from api.guard import buyer, pod_of
from api.pod import Pod
from api.streaming.client import Client, Direct, every_tick, room_for_streams
from api.waiting_room.bodies import place_body
from api.web.ids import EventIdInPath
from api.web.problems import Problem, bad
from api.web.requests import Receive, Scope, Send
from api.web.whole_numbers import whole_in
from state.domain.reasons import ApiReason
from state.redis.waiting.rooms import LOOKED_AT_MAX

PREFIX: Final = "/v1/events/"
SUFFIX: Final = "/waiting-room/stream"

COMMENT_TICKS: Final = 5
ID_BYTES_MAX: Final = 128

_RETRY: Final = b"retry: 2000\n"
_COMMENT: Final = b": still there\n"
_HOLD: Final = b"event: hold\ndata: {}\n\n"


class Follower(Client):
    """One open stream, of one user at one event.

    told: what was told last, as the id of an event; empty for that the room cannot be reached.
    """

    __slots__ = ("told", "user_id")

    def __init__(self, user_id: str, group: int, now_s: float, told: str) -> None:
        super().__init__(group, now_s)
        self.user_id = user_id
        self.told = told


class PlaceStreams:
    """All streams of one pod: one look at Redis for a hundred of them, every second."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._followers: dict[int, set[Follower]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._opened = 0
        self._room = room_for_streams(pod.settings.streams_per_user)

    async def follow(
        self, event_id: int, user_id: str, last_event_id: str, receive: Receive, send: Send
    ) -> None:
        """Stream until the client has gone, or until it is dropped; raises Problem before."""
        if self._pod.draining.is_set():
            raise Problem.of(ApiReason.NOT_READY, "This pod is ending; ask another.")
        with self._room.of(user_id):
            # Refusals are those of a question.
            stand = await self._pod.waiting.look(event_id, user_id)
            self._opened += 1
            now_s = monotonic()
            follower = Follower(user_id, self._opened % COMMENT_TICKS, now_s, last_event_id)
            follower.offer(_RETRY + (self._frame(event_id, follower, stand) or _COMMENT), now_s)
            self._followers.setdefault(event_id, set()).add(follower)
            if self._keeper is None:
                self._keeper = asyncio.create_task(self._keep(), name="waiting rooms: streams")
            try:
                await follower.serve(receive, send)
            finally:
                self._leave(event_id, follower)

    def _leave(self, event_id: int, follower: Follower) -> None:
        followers = self._followers.get(event_id, set())
        followers.discard(follower)
        if not followers:
            self._followers.pop(event_id, None)

    async def _keep(self) -> None:
        try:
            await every_tick(self._followers, self._pod.draining, self._at_tick)
        finally:
            self._keeper = None
            for follower in self._all():
                follower.end()

    async def _at_tick(self, tick: int) -> None:
        await asyncio.gather(*map(self._look_at, list(self._followers)))
        group = tick % COMMENT_TICKS
        users = {follower.user_id for follower in self._all() if follower.group == group}
        await self._pod.waiting.keep_waiting(users)
        self._look_after(group)

    def _all(self) -> Iterable[Follower]:
        return [one for followers in self._followers.values() for one in followers]

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
            told, follower.told = follower.told, ""
            return _HOLD if told else None
        here = id_of(stand)
        if follower.told == here:
            return None
        follower.told = here
        body = place_body(event_id, follower.user_id, stand, self._pod.waiting.passes)
        return b"event: place\nid: %b\ndata: %b\n\n" % (here.encode(), orjson.dumps(body))

    def _look_after(self, group: int) -> None:
        now_s = monotonic()
        for follower in self._all():
            if follower.is_stuck(now_s):
                follower.drop()
            elif now_s > follower.ends_s:
                follower.end()
            elif follower.group == group and not follower.has_frames():
                follower.offer(_COMMENT, now_s)


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
    headers = dict(scope["headers"])
    who = scope["state"]["identity"] = pod.verifier.identify(headers.get(b"authorization"))
    if BUYER not in who.roles:
        raise Problem.of(ApiReason.NOT_ALLOWED, f"Use a token with the role {BUYER}.")
    path: str = scope["path"]
    event_id = whole_in(path[len(PREFIX) : -len(SUFFIX)])
    if event_id is None:
        bad("path.event_id", "a whole number from 0 to 2^63 - 1")
    if scope["query_string"]:
        bad("query", "nothing")
    last_event_id = headers.get(b"last-event-id", b"").decode("latin-1").strip()
    await streams_of(pod).follow(event_id, who.user_id, last_event_id, receive, send)


router: Final = APIRouter(tags=["waiting rooms"], dependencies=[Depends(buyer)])


@router.get(
    "/v1/events/{event_id}/waiting-room/stream",
    response_class=Direct,
    status_code=200,
    responses={
        200: {
            "description": "Server-sent events: place, hold; see the manual.",
            # Of an event, not of the stream: readers of the document differ in what a schema is.
            "content": {"text/event-stream": {}},
        }
    },
)
async def place_stream(
    request: Request,
    event_id: EventIdInPath,  # noqa: ARG001
    last_event_id: Annotated[  # noqa: ARG001
        str | None,
        Header(max_length=ID_BYTES_MAX, description="`id` of the last event that was received."),
    ] = None,
) -> Response:
    """Follow where the user stands as it changes."""
    pod = pod_of(request)
    return Direct(lambda scope, receive, send: answer(pod, scope, receive, send))
