"""Pods of tests, asked in-process; whatever the pod does not need is absent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from support.pages.tokens import verifier

from api.app import create_app
from api.pod import Pod
from api.settings import ApiSettings


def pod_with(settings: ApiSettings | None = None, **parts: Any) -> Pod:
    """Return a pod of the parts named, and of a verifier of `tokens`."""
    return Pod(settings or ApiSettings(), **{"verifier": verifier(), **parts})


@asynccontextmanager
async def client_of(pod: Pod) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client whose requests end in this process; server errors become answers."""
    application: Any = create_app(pod.settings, pod)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://pod") as client:
        yield client


def asking(pod: Pod, test: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run a test with a client of a pod."""

    async def go() -> None:
        async with client_of(pod) as client:
            await test(client)

    asyncio.run(go())
