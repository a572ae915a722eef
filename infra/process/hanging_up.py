"""Connections of aiokafka end soon, whatever their broker does.

TLS says goodbye both ways, and asyncio waits 30 s for the other side's. A broker that is busy with
a request reads none meanwhile, and now and then the answers cross and none comes at all: closing
a consumer then took half a minute, and a take-over closes several before a partition sells again.
Whoever closes a connection has heard all that it waits for, so nothing is lost by hanging up.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection

GOODBYE_S: Final = 0.5
"""How long a connection that was closed may wait for its broker."""

_close = AIOKafkaConnection.close


def hang_up_soon() -> None:
    """Make every connection of this process wait `GOODBYE_S` for its broker's goodbye at most."""
    AIOKafkaConnection.close = _close_soon


def _close_soon(self: Any, reason: Any = None, exc: Any = None) -> asyncio.Future[None] | None:
    writer = self._writer
    closed: asyncio.Future[None] | None = _close(self, reason, exc)
    if writer is not None and closed is not None and not closed.done():
        hang_up = self._loop.call_later(GOODBYE_S, writer.transport.abort)
        closed.add_done_callback(lambda _: hang_up.cancel())
    return closed
