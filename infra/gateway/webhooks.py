"""Signed webhooks to the shop, sent as a gateway does on its good and bad days.

The header is `Mock-Gateway-Signature: t=<Unix s>,v1=<hex>`, HMAC-SHA256 over `<t>.<raw body>`.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from random import Random
from typing import Final

import aiohttp

from infra.gateway.books import Entry

HEADER: Final = "Mock-Gateway-Signature"
ATTEMPTS: Final = 5
_FIRST_PAUSE_S: Final = 0.2
_ATTEMPT_S: Final = 10.0


class Manner(StrEnum):
    """How a webhook is sent."""

    ONCE = "once"
    TWICE = "twice"
    OUT_OF_ORDER = "out_of_order"
    """After the next webhook."""
    FORGED = "forged"
    """First with a signature by another secret, then with the right one."""
    NEVER = "never"


def signature(secret: bytes, timestamp_s: int, body: bytes) -> str:
    """Return the value of the header."""
    signed = hmac.new(secret, b"%d." % timestamp_s + body, sha256).hexdigest()
    return f"t={timestamp_s},v1={signed}"


def event_of(entry: Entry) -> bytes:
    """Return the body of an entry's webhook. It is the same, with its id, whenever it is sent."""
    return json.dumps(
        {
            "id": f"evt_{entry.number}",
            "type": f"payment.{entry.outcome}",
            "order_id": entry.order_id,
            "payment_id": entry.payment_id,
            "amount": entry.amount,
            "currency": entry.currency,
        }
    ).encode()


class Webhooks:
    """Sends webhooks to one address in the background, each until it is taken or given up."""

    def __init__(self, secret: bytes, seed: int = 0) -> None:
        self._secret = secret
        self._seed = seed
        self.url: str | None = None
        self.shares: Mapping[Manner, float] = {}
        self._kept: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def tell(self, entry: Entry, manner: Manner | None = None) -> None:
        """Send an entry's webhook, in `manner` or in one drawn by the shares; return at once."""
        if self.url is None:
            return
        body = event_of(entry)
        manner = self._drawn(entry) if manner is None else manner
        kept, self._kept = self._kept, []
        if manner is Manner.OUT_OF_ORDER:
            self._kept = [body]
        elif manner is not Manner.NEVER:
            self._send(self.url, body, manner)
        for earlier in kept:
            self._send(self.url, earlier, Manner.ONCE)

    def _drawn(self, entry: Entry) -> Manner:
        draw = Random(f"{self._seed}/webhook/{entry.number}").random()  # noqa: S311
        for manner, share in self.shares.items():
            if draw < share:
                return manner
            draw -= share
        return Manner.ONCE

    def _send(self, url: str, body: bytes, manner: Manner) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(url, body, manner))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, url: str, body: bytes, manner: Manner) -> None:
        if manner is Manner.FORGED:
            forger = b"not the secret: " + self._secret
            await self._post(url, body, forger)
        if manner is Manner.TWICE:
            await self._until_taken(url, body)
        await self._until_taken(url, body)

    async def _until_taken(self, url: str, body: bytes) -> None:
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
            if await self._post(url, body, self._secret):
                return
        print("gateway: nobody took an event", flush=True)

    async def _post(self, url: str, body: bytes, secret: bytes) -> bool:
        headers = {
            HEADER: signature(secret, int(time.time()), body),
            "Content-Type": "application/json",
        }
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_ATTEMPT_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            async with self._session.post(url, data=body, headers=headers) as answer:
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def close(self) -> None:
        """End the webhooks under way, and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
