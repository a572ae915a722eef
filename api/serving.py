"""Runs one pod in this process: its HTTP server on uvloop, ended in three steps by a signal.

1. The pod says that it is not ready, ends its event streams, and still answers, for `drain_ms`.
2. It stops to listen, over gRPC too; what is under way is answered, for at most `STOP_S`.
3. Its parts stop.

A second signal ends the process at once.
"""

import asyncio
import errno
import os
import signal
import socket
from contextlib import suppress
from typing import Any, Final

from api.app import create_app, quick_lookups_of
from api.booking.carriers import Carriers
from api.http1.server import BACKLOG, HttpServer
from api.pod import Pod
from api.settings import ApiSettings
from api.web.logs import log

STOP_S: Final = 15.0
"""Longer than any `Prefer: wait` may take by default."""


class PortTaken(Exception):
    """Somebody listens at the address already.

    Operator action: end that process, or set SEATSTREAM_API_PORT.
    """


async def serve(settings: ApiSettings, pod: Pod) -> bool:
    """Answer requests until a signal comes; say whether the pod had started and did not fail.

    Raises PortTaken, and OSError for an address that is none of this machine's.
    """
    with listen_at(settings.host, settings.port) as listener:
        server = http_server(settings, pod)
        booking = booking_server(pod)
        asked = _signals()
        carriers, teller = Carriers(pod), teller_of(pod)
        starting = asyncio.create_task(_start(pod, server, booking, listener))
        ending = asyncio.create_task(asked.wait())
        failing = asyncio.create_task(pod.failed.wait())
        log.info("listening at http://%s:%d", settings.host, listener.getsockname()[1])
        ends = {ending, failing}
        await asyncio.wait({starting, *ends}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and pod.has_started:
            carriers.start()
            if teller is not None:
                teller.start()
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if ending.done() and not failing.done():
            await _end(settings, pod, server, booking)
        # Of a pod that failed not another answer: what it says of reservations may be wrong.
        server.abort()
        await carriers.stop()
        if teller is not None:
            await teller.stop()
        if booking is not None:
            await booking.stop(0.0)
        for task in (starting, *ends):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await starting
    has_started = pod.has_started and not pod.failed.is_set()
    await pod.stop()
    return has_started


async def _start(pod: Pod, server: HttpServer, booking: Any, listener: socket.socket) -> None:
    try:
        await pod.start()
    except Exception:  # noqa: BLE001  (the process ends, and its exit code says so)
        log.exception("the pod cannot start")
    else:
        await server.listen(listener)
        if booking is not None:
            await booking.start()
            log.info("the booking queue listens at port %d", booking.port)


async def _end(settings: ApiSettings, pod: Pod, server: HttpServer, booking: Any) -> None:
    log.info("ending: not ready for %d ms, then no new connections", settings.drain_ms)
    pod.drain()
    if booking is not None:
        await booking.drain()
    await asyncio.sleep(settings.drain_ms / 1000)
    pod.end_waits()
    stops = (
        [server.stop(STOP_S)] if booking is None else [server.stop(STOP_S), booking.stop(STOP_S)]
    )
    is_answered, *_ = await asyncio.gather(*stops)
    if not is_answered:
        log.warning("requests under way after %.0f s are cut off", STOP_S)


def booking_server(pod: Pod) -> Any:
    """Return the gRPC server of a pod, None for a pod without; raises PortUnusable."""
    if not pod.settings.grpc_port:
        return None
    # Of an extra, and only for who wants it.
    from api.booking.server import BookingServer  # noqa: PLC0415

    return BookingServer(pod)


def teller_of(pod: Pod) -> Any:
    """Return what tells users by a realtime service; None for a pod without one."""
    if not pod.settings.realtime_url:
        return None
    # Of an extra, and only for who wants it.
    from api.booking.telling import Teller  # noqa: PLC0415

    return Teller(pod)


def http_server(settings: ApiSettings, pod: Pod) -> HttpServer:
    """Return the server of a pod."""
    quick = quick_lookups_of(pod)
    # With CORS there is something else to do around every answer.
    has_quick = quick is not None and not settings.cors_origins
    return HttpServer(
        create_app(settings, pod),
        quick.question if quick is not None and has_quick else None,
        idle_s=-(-settings.idle_ms // 1000),
        head_s=-(-settings.head_ms // 1000),
    )


def listen_at(host: str, port: int) -> socket.socket:
    """Return a socket that listens at the port, at a free one for 0; raises PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    # Connections that linger from a pod before us are not somebody who listens.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"{host}:{port} is taken") from error
        raise
    return listener


def _signals() -> asyncio.Event:
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            # What is appended is appended; a pod may die at any moment.
            os._exit(1)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ask)
    return asked
