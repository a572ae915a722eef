"""A lease: of several processes, one does some work. If two do it, that costs work and no more."""

import secrets
import time
from collections.abc import Callable
from typing import Final

from state.redis.keys import lease
from state.redis.seat_lock import Busy, Granted, SeatLock

_WHO_MAX: Final = 200


class Lease:
    """This process' hold on a lease; Redis is not asked before `hold`.

    name:   of the work, in letters, digits and dashes.
    ttl_ms: how long the lease lasts without another `hold`; then another process may take it.
    who:    what others are told of who has it.
    """

    def __init__(
        self,
        locks: SeatLock,
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

        Raises what the locks raise where Redis does not answer.
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
        return self.is_held

    async def holder(self) -> str:
        """Return what is told of who has the lease, by whom nobody checks; empty for nothing."""
        owner = await self._locks.owner(self._keys.locks[0])
        return owner.partition(":")[2].partition(":")[2][:_WHO_MAX]

    async def give_up(self) -> None:
        """Release the lease, so that another process can take it at once."""
        grant, self._grant = self._grant, None
        if grant is not None:
            await self._locks.release(grant)
