"""A lease: of several processes, one does some work. If two do it, that costs work and no more.

Leases lie at one Redis, or at a majority of several independent ones (`state.redis.redlock`).
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

from state.redis.client import client_of
from state.redis.keys import LockKeys, lease
from state.redis.line import NoAnswer
from state.redis.redlock import GONE, Redlock
from state.redis.seat_lock import Busy, Granted, Locking, SeatLock

_WHO_MAX: Final = 200

TURN_S: Final = 0.5
REST_S: Final = 30.0
"""How long whoever must not wait asks for a turn, and asks nobody after nobody has told it."""

LEFT_S: Final = 60.0
"""How long work is left to others without a pause: then it is done all the same."""

log = logging.getLogger("seatstream.leases")


class LeaseLocks(Locking, Protocol):
    """What leases are made of: `SeatLock`, or `Redlock`."""

    async def owner(self, lock: str) -> str: ...
    async def mend(self, keys: LockKeys, longest_ms: int) -> int: ...


class Lease:
    """This process' hold on a lease; Redis is not asked before `hold`.

    name:   of the work, in letters, digits and dashes.
    ttl_ms: how long the lease lasts without another `hold`; then another process may take it.
    who:    what others are told of who has it.
    """

    def __init__(
        self,
        locks: LeaseLocks,
        name: str,
        ttl_ms: int,
        *,
        who: str = "",
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._locks = locks
        self._keys = lease(name)
        self._owner = f"{name}:{secrets.token_hex(8)}:{who}"
        self._ttl_ms = ttl_ms
        self._clock_s = clock_s
        self._grant: Granted | None = None

    @property
    def fence(self) -> int:
        """Return the fence of the grant, which rises with each grant; 0 without the lease."""
        return self._grant.fence if self._grant is not None and self.is_held else 0

    @property
    def is_held(self) -> bool:
        """Say whether this process has the lease, by its own clock: right also after it slept."""
        return self._grant is not None and self._grant.left_ms(self._clock_s()) > 0

    async def hold(self) -> bool:
        """Take the lease, or extend it; say whether this process has it.

        Raises what the locks raise where Redis does not answer, and NoAnswer where too few of
        several servers do.
        """
        grant = self._grant
        if grant is not None and self.is_held:
            grant = self._grant = await self._locks.extend(grant, self._ttl_ms)
            if grant is not None:
                return self.is_held
        acquired = await self._locks.acquire(self._keys, self._owner, self._ttl_ms)
        if isinstance(acquired, Busy) and not 0 < acquired.wait_ms <= self._ttl_ms:
            # That is no process of ours, and nobody would ever do the work.
            await self._locks.mend(self._keys, self._ttl_ms)
            acquired = await self._locks.acquire(self._keys, self._owner, self._ttl_ms)
        self._grant = acquired if isinstance(acquired, Granted) else None
        if isinstance(acquired, Busy) and not acquired.names:
            # No server says that anybody has it.
            raise NoAnswer("too few servers answer")
        return self.is_held

    async def turn(self) -> bool | None:
        """As `hold`, and None where Redis does not tell: whoever asks goes on then."""
        try:
            return await self.hold()
        except GONE:
            return None

    async def holder(self) -> str:
        """Return what is told of who has the lease, by whom nobody checks; empty for nothing."""
        owner = await self._locks.owner(self._keys.locks[0])
        return owner.partition(":")[2].partition(":")[2][:_WHO_MAX]

    async def give_up(self) -> None:
        """Release the lease, so that another process can take it at once."""
        grant, self._grant = self._grant, None
        if grant is not None:
            await self._locks.release(grant)


class Leases:
    """Where leases lie: connections to one Redis, or to three or five independent ones.

    urls: of them; nothing is connected to yet.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        if len(urls) == 1:
            self._clients = [client_of(urls[0])]
        else:
            # Redlock ends each call itself, and those that answer are enough.
            self._clients = [client_of(url, timeout_s=None, retries=0) for url in urls]
        nodes = [SeatLock(client.execute_command) for client in self._clients]
        self.locks: LeaseLocks = nodes[0] if len(nodes) == 1 else Redlock(nodes)

    def of(self, name: str, ttl_ms: int, *, who: str = "") -> Lease:
        """Return the lease of some work; arguments as those of `Lease`."""
        return Lease(self.locks, name, ttl_ms, who=who)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


class PartitionLeases:
    """Leases of work that one process at a time does for a partition; nobody waits for Redis long.

    urls, ttl_ms: as those of `Leases` and `Lease`. name: of the work.
    """

    def __init__(
        self,
        urls: Sequence[str],
        name: str,
        ttl_ms: int,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = Leases(urls)
        self._name = name
        self._ttl_ms = ttl_ms
        self._clock_s = clock_s
        self._of: dict[int, Lease] = {}
        # Since when others have a partition's lease, and when they were last seen to.
        self._left: dict[int, tuple[float, float]] = {}
        self._rests_until_s = 0.0

    async def turn(self, partition: int) -> bool | None:
        """As `Lease.turn`, within `TURN_S`; where Redis told nothing it rests for `REST_S`.

        None also where others have had the lease for `LEFT_S`, whenever it was asked for: whoever
        they are, such as another system at the same Redis, the work is not done by them.
        """
        if self._clock_s() < self._rests_until_s:
            return None
        lease = self._of.get(partition)
        if lease is None:
            lease = self._leases.of(f"{self._name}-{partition}", self._ttl_ms)
            self._of[partition] = lease
        try:
            async with asyncio.timeout(TURN_S):
                is_ours = await lease.hold()
        except Exception as error:  # noqa: BLE001  (no error of a lease keeps anybody from work)
            if self._clock_s() >= self._rests_until_s:
                log.warning("%s: nobody tells whose turn it is: %r", self._name, error)
            self._rests_until_s = self._clock_s() + REST_S
            return None
        return True if is_ours else self._left_to_others(partition)

    def _left_to_others(self, partition: int) -> bool | None:
        now_s = self._clock_s()
        since_s, seen_s = self._left.get(partition, (now_s, now_s))
        if now_s - seen_s > self._ttl_ms / 1000:
            # It was not asked for meanwhile: that is another lease.
            since_s = now_s
        self._left[partition] = since_s, now_s
        return None if now_s - since_s >= LEFT_S else False

    async def close(self) -> None:
        """Give all leases up that can be within `TURN_S`, and end the connections."""
        with suppress(*GONE):
            async with asyncio.timeout(TURN_S):
                await asyncio.gather(*(lease.give_up() for lease in self._of.values()))
        await self._leases.close()
