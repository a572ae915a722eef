"""The HTTP server of a pod: a socket that listens, its connections, and their clock."""

import asyncio
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Final

from api.http1.connection import ASGIApp, Connection, Quick
from api.http1.exchange import Exchange
from api.web.logs import log
from api.web.requests import Ask

BACKLOG: Final = 4_096
# Streams are requests that never end: thousands of them are open at a time.
CONNECTIONS_MAX: Final = 20_000
FILES_KEPT: Final = 256
"""Files that connections leave to everything else of the process."""

TICK_S: Final = 1.0
"""Bounds are counted in ticks, not by the clock: between two ticks a loop that was late takes in
what had come meanwhile, so nobody is found slow for what this process did not read."""


class HttpServer:
    """Serves an application at one socket.

    application: gets every request, and with `scope["state"]["refusal"]` a Problem that it has
                 to answer with.
    quick:       is asked first, for an answer at once.
    idle_s:      how long a connection may be without a request.
    head_s:      how long the head of a request may take, from its first byte.
    """

    def __init__(
        self,
        application: ASGIApp,
        quick: Quick | None = None,
        *,
        idle_s: int = 75,
        head_s: int = 10,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self.application = application
        self.quick = quick
        self.known: dict[bytes, Ask] = {}
        self.idle_s = idle_s
        self.head_s = head_s
        self.tick = 0
        self.date = _date()
        self.is_ending = False
        self._connections: set[Connection] = set()
        self._connections_max = min(connections_max, connections_of(_files_max()))
        self._answering: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def listen(self, listener: socket.socket) -> None:
        """Take connections at a socket that listens; returns at once."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), sock=listener, backlog=BACKLOG
        )
        self._timer = loop.call_later(TICK_S, self._on_tick)

    async def stop(self, timeout_s: float) -> bool:
        """Answer what is under way, and nothing else; False where the time was too short."""
        self.is_ending = True
        if self._server is not None:
            self._server.close()
        self._each(Connection.finish)
        is_done = True
        try:
            async with asyncio.timeout(timeout_s):
                while self._answering:
                    await self._wait()
                self._each(Connection.close)
                while self._connections:
                    await self._wait()
        except TimeoutError:
            is_done = False
        self.abort()
        return is_done

    def abort(self) -> None:
        """Cut everything off."""
        self.is_ending = True
        if self._server is not None:
            self._server.close()
        if self._timer is not None:
            self._timer.cancel()
        self._each(Connection.abort)
        for task in self._answering:
            task.cancel()

    # --- for connections -----------------------------------------------------------------------

    def opened(self, connection: Connection) -> bool:
        has_room = len(self._connections) < self._connections_max
        self._connections.add(connection)
        return has_room

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._changed.set()

    def start(self, connection: Connection, exchange: Exchange) -> None:
        task = asyncio.get_running_loop().create_task(connection.answer(exchange))
        self._answering.add(task)
        task.add_done_callback(self._ended)

    # --- inside --------------------------------------------------------------------------------

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        self._changed.set()
        with suppress(asyncio.CancelledError):
            task.result()

    def _on_tick(self) -> None:
        self.tick += 1
        self.date = _date()
        # First, so that the clock goes on whatever happens in this tick.
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._on_tick)
        self._each(lambda connection: connection.look_after(self.tick))

    def _each(self, take_turn: Callable[[Connection], None]) -> None:
        """Give every connection its turn; one that fails in it is cut off, and stops no other."""
        for connection in list(self._connections):
            try:
                take_turn(connection)
            except Exception:  # noqa: BLE001  (one connection's mistake is no other's)
                log.exception("a connection failed and is cut off")
                with suppress(Exception):
                    connection.abort()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _date() -> bytes:
    return b"date: %b\r\n" % formatdate(usegmt=True).encode()


def connections_of(files: int) -> int:
    """Return how many of so many files may be connections; where there are few, half of them."""
    return max(files - FILES_KEPT, files // 2)


def _files_max() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX + FILES_KEPT if soft == resource.RLIM_INFINITY else soft
