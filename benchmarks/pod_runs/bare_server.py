"""The HTTP server of a pod with nothing behind it: one answer to whatever is asked.

What is to be had through ASGI on the same processors. Run by `python -m benchmarks.pods lookups`.
"""

import argparse
import asyncio
import gc
import socket
import sys
from typing import Any

import uvloop

from api.http1.connection import ASGIApp
from api.http1.server import HttpServer
from api.serving import listen_at

# As many and as long as those of a look-up.
HEADERS = [
    (b"content-type", b"application/json"),
    (b"etag", b'"0123456789abcdef01234567"'),
    (b"cache-control", b"private, no-cache"),
    (b"seatstream-staleness-ms", b"137"),
    (b"seatstream-stale", b"false"),
    (b"seatstream-as-of-ms", b"1763769600000"),
    (b"x-correlation-id", b"01234567-89abcdef"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


async def serve(listener: socket.socket, application: ASGIApp) -> None:
    """Answer until killed."""
    await HttpServer(application).listen(listener)
    await asyncio.Event().wait()


def main() -> int:
    """Run the server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--body-bytes", type=int, required=True)
    options = parser.parse_args()
    start = {"type": "http.response.start", "status": 200, "headers": HEADERS}
    end = {"type": "http.response.body", "body": b"x" * options.body_bytes}

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start)
        await send(end)

    listener = listen_at("127.0.0.1", 0)
    print(f"listening at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    gc.collect()
    gc.freeze()
    uvloop.run(serve(listener, answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
