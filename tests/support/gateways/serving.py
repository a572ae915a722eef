"""Servers on loopback that play gateways: whole ones, and ones that fail on the wire."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)\r\n")


@asynccontextmanager
async def served(application: web.Application) -> AsyncIterator[str]:
    """Serve until the block ends; give the address."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


Fail = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What is done for a request: bytes are written, or not; the connection ends afterwards."""

Behave = Callable[[int], Fail]
"""Says what is done for request 0, 1 .. ."""


@asynccontextmanager
async def on_the_wire(behave: Behave) -> AsyncIterator[str]:
    """Do what `behave` says with whole requests, one a connection; give the address."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            await reader.readexactly(int(length[1]) if length else 0)
            number, asked = asked, asked + 1
            await behave(number)(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # It has gone.
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        await server.wait_closed()


def saying(content: bytes) -> Fail:
    """Write these bytes, and nothing more."""

    async def say(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    return say


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Say nothing until the other side goes."""
    await reader.read()


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection, as when the other side's machine goes."""
    connection: Any = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


def http(status: int, body: bytes, *headers: str) -> bytes:
    """Return an answer as bytes."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
