"""Locks at a real server, and a model of them that knows no Redis and no clock."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from support.redis.events import EVENTS

from state.redis.client import client_of
from state.redis.keys import LockKeys, seat_locks
from state.redis.seat_lock import Busy, Granted, SeatLock, Stale

TTL_MS = 600_000
"""Longer than any test: what has to end is ended by hand."""


def fresh_section() -> Callable[..., LockKeys]:
    """Return what gives the keys of seats of a section that no other test has, by their row."""
    event_id = next(EVENTS)
    return lambda *rows: seat_locks(event_id, "A", [(row, 0) for row in rows])


@asynccontextmanager
async def redis_at(url: str) -> AsyncIterator[Redis]:
    """Give a client as the product has it, patient with a busy machine."""
    client = client_of(url, timeout_s=30.0)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def locks_at(url: str, **options: Any) -> AsyncIterator[SeatLock]:
    async with redis_at(url) as client:
        yield SeatLock(client.execute_command, **options)


def ask_of(client: Redis) -> Callable[..., Awaitable[Any]]:
    """Return what sends one command; the client's own has no types."""
    execute: Callable[..., Awaitable[Any]] = client.execute_command
    return execute


def twice(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return what sends everything twice, as a client does that has lost the first answer."""

    async def again(*command: Any) -> Any:
        await ask(*command)
        return await ask(*command)

    return again


@dataclass
class ModelOfLocks:
    """One section's locks: name -> (owner, token, fence), and what outlives them."""

    locks: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    highest: int = 0

    def acquire(
        self, names: Sequence[str], owner: str, token: str, fence: int
    ) -> tuple[str, int] | tuple[str, tuple[str, ...]]:
        taken = tuple(
            name for name in names if name in self.locks and self.locks[name][0] != owner
        )
        if taken:
            return "busy", taken
        held = [self.locks.get(name, ("", "", 0)) for name in names]
        is_again = all(lock[1] == token for lock in held)
        least = max(lock[2] for lock in held) if is_again else self.highest
        if not fence:
            fence = least if is_again else least + 1
        if fence < least:
            return "stale", least
        for name in names:
            self.locks[name] = owner, token, fence
        self.highest = max(self.highest, fence)
        return "granted", fence

    def has_all(self, names: Sequence[str], owner: str, token: str) -> bool:
        return all(self.locks.get(name, ("", "", 0))[:2] == (owner, token) for name in names)

    def release(self, names: Sequence[str], owner: str, token: str) -> int:
        gone = [
            name
            for name in names
            if name in self.locks
            and self.locks[name][0] == owner
            and token in {"", self.locks[name][1]}
        ]
        for name in gone:
            del self.locks[name]
        return len(gone)


def told(acquired: Granted | Busy | Stale) -> tuple[str, int] | tuple[str, tuple[str, ...]]:
    """Return an answer in the model's words."""
    match acquired:
        case Granted():
            return "granted", acquired.fence
        case Busy():
            return "busy", acquired.names
        case Stale():
            return "stale", acquired.fence
