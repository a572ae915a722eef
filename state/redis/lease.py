"""A lease: of several processes one does what one is enough for. Twice does no harm, only work."""

import secrets
import time
from collections.abc import Callable

from state.redis.keys import lease
from state.redis.seat_lock import Granted, Locking


class Lease:
    """A claim to be the one; nothing is asked before `hold`.

    name:   of what is done, of letters and dashes.
    ttl_ms: after which another may have it where this process says nothing more.
    """

    def __init__(
        self,
        locks: Locking,
        name: str,
        ttl_ms: int,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._locks = locks
        self._keys = lease(name)
        self._owner = f"{name}:{secrets.token_hex(8)}"
        self._ttl_ms = ttl_ms
        self._clock_s = clock_s
        self._claim: Granted | None = None

    @property
    def fence(self) -> int:
        """Return the number of the claim, which only rises; 0 while there is none."""
        return self._claim.fence if self._claim is not None and self.is_held else 0

    @property
    def is_held(self) -> bool:
        """Say whether this process has it, by its own clock: also after it slept."""
        return self._claim is not None and self._claim.left_ms(self._clock_s()) > 0

    async def hold(self) -> bool:
        """Take it, or keep it for another while; say whether this process has it.

        Raises what the locks raise where Redis does not answer.
        """
        claim = self._claim
        if claim is not None and self.is_held:
            claim = self._claim = await self._locks.extend(claim, self._ttl_ms)
            if claim is not None:
                return self.is_held
        claimed = await self._locks.acquire(self._keys, self._owner, self._ttl_ms)
        self._claim = claimed if isinstance(claimed, Granted) else None
        return self.is_held

    async def give_up(self) -> None:
        """Let another have it at once."""
        claim, self._claim = self._claim, None
        if claim is not None:
            await self._locks.release(claim)
