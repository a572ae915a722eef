"""Has seats allocated to each purchase, once: an inbox, retries and a call outside."""

import os

from aiohttp import ClientSession

from streams.intents import Intent
from streams.route import Route
from streams.runtime.app import BatchApp
from streams.settings import Settings
from streams.working.route import work_route
from streams.working.task import Failed, Task
from streams.working.work import Work


def allocate(task: Task) -> None:
    """Have the service asked, unless the buyer has seats already."""
    if task.get(b"seats of " + task.key) is None:
        task.call("allocation", task.value)


def allocated(task: Task, seats: bytes) -> None:
    """Take in what the service said."""
    if seats == b"":
        raise Failed("no seats yet")  # Asked again, until its patience ends.
    task.put(b"seats of " + task.key, seats)
    task.emit("seats-allocated", task.key, seats, "SEATS_ALLOCATED")


async def ask(intent: Intent) -> bytes:
    """Make one call; whatever it raises is a failed attempt."""
    url, key = os.environ["ADMIN_SERVICE_URL"], {"Idempotency-Key": intent.idempotency_key}
    async with (
        ClientSession(raise_for_status=True) as session,
        session.post(url, data=intent.payload, headers=key) as answer,
    ):
        return await answer.read()


def route(settings: Settings) -> Route:
    role = "allocate_purchases"
    retries, kept_ms = settings.retries.of(role), settings.inbox_retention_ms
    return work_route(
        Work(role, "purchase-created", allocate, allocated, retries, kept_ms),
        to=("seats-allocated",),
        changelog="allocations-changelog",
        dead_letters="dead-letter-queue",
        performers={"allocation": ask},
    )


def __getattr__(name: str) -> BatchApp:
    if name != "app":
        raise AttributeError(name)
    settings = Settings.from_env(os.environ)
    return BatchApp(settings, [route(settings)])
