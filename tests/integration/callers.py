"""The calling topology with performers over HTTP.

    faust -A integration.callers worker

COUNTING_PREFIX prefixes its topics; CALLING_URL is where its destinations are; CALLING_RETRY_MS
and CALLING_CALL_MS say when a call is tried again and how long one may take.
"""

import os

import aiohttp
from support.workers.calling import calling

from streams.intents import Intent
from streams.route import Route
from streams.runtime.app import BatchApp
from streams.settings import Settings


class Caller:
    """Posts what is asked for; one connection pool, opened with the first call."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, intent: Intent) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = {"Idempotency-Key": intent.idempotency_key}
        async with self._session.post(
            f"{self._url}/{intent.destination}", data=intent.payload, headers=headers
        ) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def route() -> Route:
    caller = Caller(os.environ["CALLING_URL"])
    return calling(
        {"bank": caller, "post": caller},
        prefix=os.environ["COUNTING_PREFIX"],
        retry_ms=int(os.environ.get("CALLING_RETRY_MS", "200")),
        call_ms=int(os.environ.get("CALLING_CALL_MS", "120000")),
        close=caller.close,
    )


def __getattr__(name: str) -> BatchApp:
    if name != "app":
        raise AttributeError(name)
    return BatchApp(Settings.from_env(os.environ), [route()], log_append_time=False)
