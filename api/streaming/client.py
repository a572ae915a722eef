"""One client of a stream of server-sent events: what waits to be sent to it, and how it ends.

A client that does not read is dropped: it comes back, and is told what it has missed.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sized
from contextlib import suppress
from typing import Final

from fastapi.responses import Response

from api.web.requests import Receive, Scope, Send
from api.web.room import Room

STREAMS_MAX: Final = 10_000
"""Streams of one kind that a pod has open."""

TICK_S: Final = 1.0
"""How often all streams are looked after."""

QUEUED_FRAMES_MAX: Final = 16
QUEUED_BYTES_MAX: Final = 256 * 1024
STUCK_S: Final = 20
"""A client that takes nothing for so long, or has so much waiting, is dropped."""

LIFE_S: Final = 3_600
"""A stream ends after this, so that its client shows a valid token again."""

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def room_for_streams(most_of_user: int) -> Room[str]:
    """Return the room for the streams of one kind, of all users and of each."""
    return Room(
        STREAMS_MAX,
        "This pod takes no more streams; ask another.",
        most_of_user,
        f"At most {most_of_user} streams of a user; end one of them.",
    )


async def every_tick(
    streams: Sized, draining: asyncio.Event, look_after: Callable[[int], Awaitable[None]]
) -> None:
    """Look after streams at every tick, until none is left or the pod is draining.

    look_after: is told the number of the tick, from 1.
    """
    tick = 0
    while streams and not draining.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await draining.wait()
        tick += 1
        await look_after(tick)


class Direct(Response):
    """Has a handler write the answer itself."""

    def __init__(self, handler: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        super().__init__()
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler(scope, receive, send)


class Client:
    """One open stream: what waits to be sent to it.

    is_over: nothing more is sent.
    """

    __slots__ = ("_bytes", "_frames", "_writer", "ends_s", "group", "is_over", "stuck_s", "wake")

    def __init__(self, group: int, now_s: float) -> None:
        self.group = group
        self.ends_s = now_s + LIFE_S
        self.stuck_s: float | None = None
        self.is_over = False
        self.wake = asyncio.Event()
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._writer = asyncio.current_task()

    def offer(self, frame: bytes, now_s: float) -> bool:
        """Queue a frame; False where the client reads too slowly."""
        if self._frames:
            self._bytes += len(frame)
            if len(self._frames) >= QUEUED_FRAMES_MAX or self._bytes > QUEUED_BYTES_MAX:
                return False
        elif self.stuck_s is None:
            self.stuck_s = now_s
        self._frames.append(frame)
        self.wake.set()
        return True

    def is_stuck(self, now_s: float) -> bool:
        return self.stuck_s is not None and now_s - self.stuck_s > STUCK_S

    def take(self) -> bytes:
        """Return all that waits, as one piece."""
        frames = self._frames
        taken = frames.popleft() if len(frames) == 1 else b"".join(frames)
        frames.clear()
        self._bytes = 0
        self.wake.clear()
        return taken

    def has_frames(self) -> bool:
        return bool(self._frames)

    def taken(self) -> None:
        """Note that the connection took what was handed to it."""
        self.stuck_s = None

    def end(self) -> None:
        """End the stream as soon as what is being sent has gone."""
        self.is_over = True
        self.wake.set()

    def drop(self) -> None:
        """End the stream now, even where the connection takes nothing."""
        self.end()
        self._frames.clear()
        if self._writer is not None:
            self._writer.cancel()

    async def serve(self, receive: Receive, send: Send) -> None:
        """Send what is offered until the client has gone, or the stream is over."""
        watcher = asyncio.create_task(self._until_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            while not self.is_over:
                if self.has_frames():
                    body = self.take()
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                    self.taken()
                else:
                    await self.wake.wait()
                    self.wake.clear()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            # Ours, to drop a client; anybody else's goes on.
            if not self.is_over:
                raise
        finally:
            watcher.cancel()

    async def _until_disconnected(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.drop()
