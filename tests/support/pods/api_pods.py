"""Pods of tests, asked in-process; whatever the pod does not need is absent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from support.pages.tokens import verifier

from api.app import Application, create_app, with_endpoints
from api.building import pod_of
from api.pod import Pod
from api.settings import ApiSettings


def pod_with(settings: ApiSettings | None = None, **parts: Any) -> Pod:
    """Return a pod of the parts named, and of a verifier of `tokens`."""
    return pod_of(settings or ApiSettings(), **{"verifier": verifier(), **parts})


@asynccontextmanager
async def client_of(pod: Pod) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client whose requests end in this process; server errors become answers."""
    application: Any = create_app(pod.settings, pod)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://pod") as client:
        yield client


@asynccontextmanager
async def client_of_routes(
    pod: Pod, add: Callable[[FastAPI], object]
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a pod that has endpoints of the test's own beside the real ones."""
    application: Any = Application(pod)
    application.documented = with_endpoints()
    add(application.documented)
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://pod") as client:
        yield client


def asking(pod: Pod, test: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run a test with a client of a pod."""

    async def go() -> None:
        async with client_of(pod) as client:
            await test(client)

    asyncio.run(go())


def problem_of(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """Check a problem and what stands in each; return its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["reason"]) == (status, reason)
    assert body["correlation_id"] == answer.headers["x-correlation-id"]
    assert body["instance"] == answer.request.url.path
    return body
