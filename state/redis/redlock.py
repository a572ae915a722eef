"""A lock at a majority of independent Redis servers (Redlock), none of which has a replica.

Leases may lie there (`state.redis.lease.Leases`). Seats are locked at one server: their locks may
be lost or granted twice without harm.

A server that restarts without its locks could grant them again: set `appendfsync always`, or
start it again no sooner than the longest grant lasts.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from redis.exceptions import RedisError

from state.redis.keys import LockKeys
from state.redis.line import NoAnswer, TooManyAsk
from state.redis.seat_lock import (
    Acquired,
    Busy,
    Granted,
    SeatLock,
    Stale,
    good_until_s,
    new_token,
)

NODE_TIMEOUT_S: Final = 0.05
"""How long a node may take to answer; one that does not answer costs no more than that."""

PAUSE_MS: Final = (200, 200)
"""Pause between two tries: the least, and how much more at random, so that two owners part."""

GONE: Final = (RedisError, OSError, TimeoutError, NoAnswer, TooManyAsk)
"""What a server raises that tells nothing."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Round:
    """The answers to one question, of the nodes that answered in time."""

    granted: list[Granted]
    busy: list[Busy]
    stale: list[Stale]


class Redlock:
    """Locks at N = 3 or 5 nodes.

    nodes:   each with a client that makes no retries.
    tries:   how often locks are tried for, with pauses between.
    """

    def __init__(
        self,
        nodes: Sequence[SeatLock],
        *,
        tries: int = 1,
        node_timeout_s: float = NODE_TIMEOUT_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        if len(nodes) not in {3, 5}:
            raise ValueError(f"3 or 5 nodes, not {len(nodes)}: with others no majority is safer")
        self._nodes = tuple(nodes)
        self._quorum = len(nodes) // 2 + 1
        self._tries = tries
        self._node_timeout_s = node_timeout_s
        self._clock_s = clock_s

    async def acquire(
        self, keys: LockKeys, owner: str, ttl_ms: int, *, fence: int = 0
    ) -> Acquired:
        """Lock the keys at a majority, or at no node; as `SeatLock.acquire`.

        Where too few nodes answer, Busy is returned without names.
        """
        token = new_token()
        for left in reversed(range(self._tries)):
            acquired = await self._try(keys, owner, ttl_ms, fence, token)
            if not isinstance(acquired, Busy) or not left:
                return acquired
            least_ms, more_ms = PAUSE_MS
            await asyncio.sleep((least_ms + secrets.randbelow(more_ms + 1)) / 1000)
        raise AssertionError("at least one try")

    async def extend(self, grant: Granted, ttl_ms: int) -> Granted | None:
        """Return the grant as a majority has extended it; without one it is released, and None."""
        answers = await self._each(lambda node: node.extend(grant, ttl_ms))
        lasting = sorted(one.ends_s for one in answers if one is not None)
        if len(lasting) < self._quorum:
            await self.release(grant)
            return None
        # The grant ends when the first node ends without which there is no majority.
        return replace(grant, ends_s=lasting[-self._quorum])

    async def release(self, grant: Granted) -> int:
        """Release a grant on all nodes, also on those that did not answer when it was made."""
        return max(await self._each(lambda node: node.release(grant)), default=0)

    async def release_of(self, keys: LockKeys, owner: str) -> int:
        """Release on all nodes what this owner has of the keys."""
        return max(await self._each(lambda node: node.release_of(keys, owner)), default=0)

    async def owner(self, lock: str) -> str:
        """Return the owner that most nodes name; empty where nobody has the lock."""
        told = Counter(filter(None, await self._each(lambda node: node.owner(lock))))
        return told.most_common(1)[0][0] if told else ""

    async def mend(self, keys: LockKeys, longest_ms: int) -> int:
        """Remove on all nodes what lies there and is no lock; as `SeatLock.mend`."""
        return max(await self._each(lambda node: node.mend(keys, longest_ms)), default=0)

    async def _try(
        self, keys: LockKeys, owner: str, ttl_ms: int, fence: int, token: str
    ) -> Acquired:
        began_s = self._clock_s()

        async def ask(number: int) -> _Round:
            answers = await self._each(
                lambda node: node.acquire(keys, owner, ttl_ms, fence=number, token=token)
            )
            return _Round(
                [one for one in answers if isinstance(one, Granted)],
                [one for one in answers if isinstance(one, Busy)],
                [one for one in answers if isinstance(one, Stale)],
            )

        asked = Granted(keys, owner, token, fence, began_s)
        try:
            told = await ask(fence)
            highest = max((one.fence for one in told.granted), default=0)
            if len(told.granted) >= self._quorum and not fence:
                # Each node counts fences for itself. The highest is written to a majority before
                # it is used, so that every later majority has a node that knows it.
                told = await ask(highest)
        except BaseException:
            await self.release(asked)
            raise
        ends_s = good_until_s(began_s, ttl_ms)
        if len(told.granted) >= self._quorum and ends_s > self._clock_s():
            return replace(asked, fence=max(highest, fence), ends_s=ends_s)
        await self.release(asked)
        if told.stale:
            return Stale(max(one.fence for one in told.stale))
        names = {name for one in told.busy for name in one.names}
        wait_ms = max((one.wait_ms for one in told.busy), default=0)
        return Busy(tuple(name for name in keys.names if name in names), wait_ms)

    async def _each(self, question: Callable[[SeatLock], Awaitable[T]]) -> list[T]:
        """Return the answers of all nodes that answer in time."""

        async def answer(node: SeatLock) -> T:
            async with asyncio.timeout(self._node_timeout_s):
                return await question(node)

        answers = await asyncio.gather(*map(answer, self._nodes), return_exceptions=True)
        found: list[T] = []
        for one in answers:
            if not isinstance(one, BaseException):
                found.append(one)
            elif not isinstance(one, GONE):
                raise one
        return found
