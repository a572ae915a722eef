"""Requests about reservations of one section, decided by the real handler in this process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from support.pages.tokens import bearer
from support.pods.api_pods import client_of
from support.pods.reservation_pods import Feed, Owners, Seats, pod_over
from support.seats.section_commands import EVENT, A

from api.pod import Pod

PATH = f"/v1/events/{EVENT}/reservations"
ANN = bearer(sub="ann")
BOB = bearer(sub="bob")
DOCUMENT = {"section": A, "quantity": 2}

Test = Callable[[Seats, Pod, httpx.AsyncClient], Awaitable[None]]


def asking(test: Test, rows: str = "......\n......", **changes: Any) -> None:
    """Run a test over an open section A, with one pod and its client."""
    of_section = ("hold_ms", "max_hold_ms", "currency", "amounts")
    rules = {name: changes.pop(name) for name in of_section if name in changes}

    async def go() -> None:
        async with asyncio.timeout(60):
            seats = Seats().open(rows, **rules)
            pod = pod_over(seats, **changes)
            async with client_of(pod) as client:
                await test(seats, pod, client)
            assert waiting(pod) == 0
            assert len(pod.desk.in_flight) == 0

    asyncio.run(go())


def waiting(pod: Pod) -> int:
    feed = pod.outcomes
    assert isinstance(feed, Feed)
    return feed.waiting_now()


def feed_of(pod: Pod) -> Feed:
    assert isinstance(pod.outcomes, Feed)
    return pod.outcomes


def owners_of(pod: Pod) -> Any:
    owners: Any = pod.owners
    assert isinstance(owners, Owners)
    return owners


async def create(
    client: httpx.AsyncClient,
    key: str = "k1",
    body: Any = None,
    who: dict[str, str] = ANN,
    **headers: str,
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(
        PATH, json=body or DOCUMENT, headers={**who, "Idempotency-Key": key, **named}
    )


def problem(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["reason"]) == (status, reason), answer.text
    if status in {429, 503}:
        assert int(answer.headers["retry-after"]) >= 1
    return body
