"""`python -m infra.allocation --directory DIR`: the service as a process; ends on SIGTERM."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from infra.allocation.books import Books
from infra.allocation.server import application

_LOOPBACK: Final = "127.0.0.1"
_LEAVE_S: Final = 2.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; exits with a usage message otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.allocation",
        description="An allocation service to play with, on loopback only: one active allocation "
        "for each buyer and event, kept in DIR. It prints its address.",
    )
    parser.add_argument("--directory", type=Path, required=True, metavar="DIR")
    parser.add_argument("--port", type=int, default=3010, help="0: a free one")
    parser.add_argument("--delay-ms", type=int, default=0, help="before every answer")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, ended.set)
    with Books(options.directory / "allocations.sqlite") as books:
        service = application(books, lambda: asyncio.sleep(options.delay_ms / 1000))
        runner = web.AppRunner(service, access_log=None, shutdown_timeout=_LEAVE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, _LOOPBACK, options.port).start()
            print(f"allocation: http://{_LOOPBACK}:{runner.addresses[0][1]}", flush=True)
            await ended.wait()
        finally:
            await runner.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(run(parse(sys.argv[1:]))))
