"""`python -m infra.allocation --directory DIR`: the service as a process; ends on SIGTERM."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from infra.allocation.books import Books
from infra.allocation.server import application
from infra.listening import LOOPBACK, leaving_by, listen


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; exits with a usage message otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.allocation",
        description="An allocation service to play with, on loopback only unless --host says "
        "otherwise: one active allocation for each buyer and event, kept in DIR. It prints its "
        "address.",
    )
    parser.add_argument("--directory", type=Path, required=True, metavar="DIR")
    parser.add_argument("--port", type=int, default=3010, help="0: a free one")
    parser.add_argument("--host", default=LOOPBACK, help="loopback; in a container: 0.0.0.0")
    parser.add_argument("--delay-ms", type=int, default=0, help="before every answer")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    leaving_by(ended.set)
    with Books(options.directory / "allocations.sqlite") as books:
        service = application(books, lambda: asyncio.sleep(options.delay_ms / 1000))
        async with AsyncExitStack() as opened:
            address = await listen(opened, service, options.port, options.host)
            print(f"allocation: {address}", flush=True)
            await ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(run(parse(sys.argv[1:]))))
