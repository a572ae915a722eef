"""Requests that wait: a share for each user, and none that outlives its client.

await pod.waits.of(caller, lambda: view.wait_until_met(...))
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, TypeVar

from fastapi import Request

from api.web.requests import Receive
from api.web.room import Room

WAITS_MAX: Final = 10_000
"""Requests of all users that wait for a reservation, an event or a seat map."""

USER_WAITS_MAX: Final = 32
"""Requests of one user that wait at once, of one kind."""

CERTAIN_S: Final = 1.0
"""How long the brokers are asked before nobody dares to say that there is no such thing."""

T = TypeVar("T")
Waiting = Callable[[], Coroutine[Any, Any, T]]


class ClientGone(Exception):
    """The client went away while its request waited: nobody is told anything.

    Operator action: none.
    """


class Caller(NamedTuple):
    """Who waits; `receive` tells when that client has gone."""

    user_id: str
    receive: Receive


def caller_of(request: Request, user_id: str) -> Caller:
    """Return who asks through the framework; the body was read."""
    return Caller(user_id, request.receive)


class Waits:
    """Requests of one kind that wait now, at most so many of all users together."""

    def __init__(self, most: int) -> None:
        self._room: Room[str] = Room(
            most,
            "Too many wait here; ask again, or without a wait.",
            USER_WAITS_MAX,
            f"At most {USER_WAITS_MAX} requests of a user wait at once; ask without a wait.",
        )

    def __len__(self) -> int:
        return len(self._room)

    async def of(self, caller: Caller, waiting: Waiting[T]) -> T:
        """Return what a wait brings; raises Problem (429), and ClientGone for a client gone."""
        with self._room.of(caller.user_id):
            return await while_here(caller.receive, waiting())


async def while_here(receive: Receive, waiting: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns; ended with ClientGone when the client goes first."""
    task = asyncio.ensure_future(waiting)
    watcher = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        # An error of the server's own, if that is what ended it.
        watcher.result()
        raise ClientGone
    finally:
        for one in (task, watcher):
            one.cancel()
        # Awaited, so that neither outlives the request or complains that nobody asked.
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
