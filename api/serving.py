"""Runs one pod in this process: granian on uvloop, ended in three steps by a signal.

1. The pod says that it is not ready, ends its event streams, and still answers, for `drain_ms`.
2. It stops to listen; what is under way is answered, for at most `STOP_S`.
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

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.errors import FatalError
from granian.http import HTTP1Settings
from granian.server.embed import Server

from api.app import ASGIApp, create_app, quick_lookups_of
from api.pod import Pod
from api.settings import ApiSettings
from api.web.logs import log
from api.web.reading_thread import answer_where_read

STOP_S: Final = 15.0
"""Longer than any `Prefer: wait` may take by default."""

# Streams are requests that never end: thousands of them are open at a time.
OPEN_REQUESTS_MAX: Final = 20_000
BACKLOG: Final = 4_096
HEADERS_TIMEOUT_MS: Final = 75_000
"""How long a connection may be idle, and how long a head may take: the server has one bound for
both. Longer than load balancers keep theirs, so that none sends into a connection that closes."""

HEADERS_BYTES_MAX: Final = 65_536


class PortTaken(Exception):
    """Somebody listens at the address already.

    Operator action: end that process, or set SEATSTREAM_API_PORT.
    """


async def serve(settings: ApiSettings, pod: Pod) -> bool:
    """Answer requests until a signal comes; say whether the pod had started and did not fail.

    Raises PortTaken, and OSError for an address that is none of this machine's.
    """
    listener = listen_at(settings.host, settings.port)
    port = listener.getsockname()[1]
    quick = quick_lookups_of(pod)
    # With CORS there is something else to do around every answer.
    if quick is not None and not settings.cors_origins:
        answer_where_read(quick.answer)
    server = http_server(listener, create_app(settings, pod))
    asked = _signals()
    serving = asyncio.create_task(server.serve())
    ending = asyncio.create_task(asked.wait())
    failing = asyncio.create_task(pod.failed.wait())
    log.info("listening at http://%s:%d", settings.host, port)
    await asyncio.wait({serving, ending, failing}, return_when=asyncio.FIRST_COMPLETED)
    if failing.done():
        # Not another answer: what this pod says of reservations may be wrong.
        serving.cancel()
    elif not serving.done():
        log.info("ending: not ready for %d ms, then no new connections", settings.drain_ms)
        pod.drain()
        await asyncio.sleep(settings.drain_ms / 1000)
        pod.end_waits()
        server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({serving}, timeout=STOP_S)
    ending.cancel()
    failing.cancel()
    if not serving.done() and not pod.failed.is_set():
        log.warning("requests under way after %.0f s are cut off", STOP_S)
        serving.cancel()
    # Why a pod did not start is in the log already.
    with suppress(asyncio.CancelledError, FatalError):
        await serving
    has_started = pod.has_started and not pod.failed.is_set()
    await pod.stop()
    return has_started


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


def http_server(listener: socket.socket, application: ASGIApp) -> Server:
    """Return the server of a pod, to be served at a socket that listens."""
    host, port, *_ = listener.getsockname()
    return PortHolder(
        listener,
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=OPEN_REQUESTS_MAX,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADERS_TIMEOUT_MS, max_buffer_size=HEADERS_BYTES_MAX
        ),
        # Its messages go where ours go.
        log_dictconfig={
            "handlers": {},
            "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
        },
    )


class PortHolder(Server):
    """Serves at a socket of ours, and closes it when told to stop.

    Its own would share the port with any process that asks: two pods at one would each get half
    the requests.
    """

    def __init__(self, listener: socket.socket, target: Any, **options: Any) -> None:
        super().__init__(target, **options)
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # Neither is in its type hints.
        holder: Any = SocketHolder
        self._shd: Any = holder(self._listener.detach(), False, BACKLOG)


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
