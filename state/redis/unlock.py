"""Removes locks of holds that are over, by exact key and owner, and keys of other programs.

The caller bounds each call. A short limit of the client's own would also run out where Redis has
answered long ago and the process was busy with something else, and a healthy Redis be left alone.
"""

from collections.abc import Sequence

from state.redis.client import client_of
from state.redis.keys import Seat, seat_locks
from state.redis.seat_lock import SeatLock, owner_of


class Unlocker:
    """The locks at one Redis; connects to nothing before the first one is removed."""

    def __init__(self, url: str) -> None:
        # No retries here: the intent is performed again, after pauses that the log remembers.
        self._client = client_of(url, timeout_s=None, retries=0)
        self._locks = SeatLock(self._client.execute_command)

    async def close(self) -> None:
        await self._client.aclose()

    async def unlock(
        self, event_id: int, section: str, seats: Sequence[Seat], reservation_id: str, epoch: int
    ) -> int:
        """Return how many locks a hold had; raises RedisError where Redis does not answer.

        Locks of other owners stay: the seats may be held anew already.
        """
        keys = seat_locks(event_id, section, seats)
        return await self._locks.release_of(keys, owner_of(reservation_id, epoch))


class Caches:
    """Keys of other programs at one Redis; connects to nothing before the first is deleted."""

    def __init__(self, url: str) -> None:
        # No retries here: the intent is performed again, after pauses that the log remembers.
        self._client = client_of(url, timeout_s=None, retries=0)

    async def forget(self, keys: Sequence[str]) -> int:
        """Return how many of the keys there were; raises RedisError where Redis does not answer.

        Keys are deleted one by one, since in a cluster they may lie on several nodes. Deleting a
        key twice does no harm.
        """
        return sum([int(await self._client.delete(key)) for key in keys])

    async def close(self) -> None:
        await self._client.aclose()
