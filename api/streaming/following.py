"""Streams whose clients are told, once a second, what has changed for them.

One look is made for all who follow the same thing; nobody waits for a client that reads slowly.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Hashable, Iterable
from time import monotonic
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Header

from api.streaming.client import Client, every_tick, room_for_streams
from api.web.problems import Problem
from api.web.requests import Receive, Send
from api.web.room import Room
from state.domain.reasons import ApiReason

COMMENT_TICKS: Final = 5
ID_BYTES_MAX: Final = 128

RETRY: Final = b"retry: 2000\n"
COMMENT: Final = b": still there\n"
HOLD: Final = b"event: hold\ndata: {}\n\n"

LastEventId = Annotated[
    str | None,
    Header(max_length=ID_BYTES_MAX, description="`id` of the last event that was received."),
]


def described(what: str) -> dict[str, Any]:
    """Return what the API's document says of such a stream."""
    # Of an event, not of the stream: readers of the document differ in what a schema is.
    return {"description": what, "content": {"text/event-stream": {}}}


class Follower(Client):
    """One open stream, of one user.

    told: what was told last, as the id of an event; empty for that nothing can be looked at.
    has_all: there is nothing more to be told: the stream ends when what was offered is taken.
    """

    __slots__ = ("has_all", "told", "user_id")

    def __init__(self, user_id: str, group: int, told: str) -> None:
        super().__init__(group, monotonic())
        self.user_id = user_id
        self.told = told
        self.has_all = False

    def hold(self) -> bytes | None:
        """Return what says that nothing can be looked at; None where it was said."""
        told, self.told = self.told, ""
        return HOLD if told else None


KeyT = TypeVar("KeyT", bound=Hashable)


class Followers(Generic[KeyT]):
    """All streams of one kind of a pod, by what they follow; draining: the pod's."""

    def __init__(self, name: str, draining: asyncio.Event, most_of_user: int) -> None:
        self._name = name
        self._draining = draining
        self._followers: dict[KeyT, set[Follower]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._opened = 0
        self._room: Room[str] = room_for_streams(most_of_user)

    @abstractmethod
    async def look(self, group: int) -> None:
        """Tell all who follow something what is new; group: of those who are kept alive now."""

    def check_open(self) -> None:
        """Raise Problem (503) where no new stream is taken any more."""
        if self._draining.is_set():
            raise Problem.of(ApiReason.NOT_READY, "This pod is ending; ask another.")

    def follower(self, user_id: str, last_event_id: str) -> Follower:
        self._opened += 1
        return Follower(user_id, self._opened % COMMENT_TICKS, last_event_id)

    async def serve(
        self, key: KeyT, follower: Follower, first: bytes | None, receive: Receive, send: Send
    ) -> None:
        """Stream until the client has gone, or is dropped; first: what it is told at once."""
        follower.offer(RETRY + (first or COMMENT), monotonic())
        self._followers.setdefault(key, set()).add(follower)
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name=f"{self._name}: streams")
        try:
            await follower.serve(receive, send)
        finally:
            self._leave(key, follower)

    def _leave(self, key: KeyT, follower: Follower) -> None:
        followers = self._followers.get(key, set())
        followers.discard(follower)
        if not followers:
            self._followers.pop(key, None)

    async def _keep(self) -> None:
        try:
            await every_tick(self._followers, self._draining, self._at_tick)
        finally:
            self._keeper = None
            for follower in self.all():
                follower.end()

    async def _at_tick(self, tick: int) -> None:
        group = tick % COMMENT_TICKS
        await self.look(group)
        self._look_after(group)

    def all(self) -> Iterable[Follower]:
        return [one for followers in self._followers.values() for one in followers]

    def _look_after(self, group: int) -> None:
        now_s = monotonic()
        for follower in self.all():
            if follower.is_stuck(now_s):
                follower.drop()
            elif now_s > follower.ends_s or (follower.has_all and not follower.has_frames()):
                follower.end()
            elif follower.group == group and not follower.has_frames():
                follower.offer(COMMENT, now_s)
