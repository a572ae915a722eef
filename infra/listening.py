"""Processes to play with: how they serve, and when they leave."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web

LOOPBACK: Final = "127.0.0.1"
_LEAVE_S: Final = 2.0


def leaving_by(leave: Callable[[], object]) -> None:
    """Have SIGTERM and SIGINT call this, in the running loop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leave)


async def listen(
    opened: AsyncExitStack, application: web.Application, port: int, host: str = LOOPBACK
) -> str:
    """Serve an application; return its address. port: 0 for a free one."""
    # Without an access log: what a process keeps of its calls it keeps in a ledger of its own.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_LEAVE_S)
    await runner.setup()
    opened.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port).start()
    return f"http://{host}:{runner.addresses[0][1]}"
