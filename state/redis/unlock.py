"""Removes what is over: locks of holds, by their exact keys and owner, and what others keep."""

from collections.abc import Sequence

from state.redis.client import client_of
from state.redis.keys import Seat, seat_locks
from state.redis.seat_lock import SeatLock, owner_of


class Unlocker:
    """Of one Redis; connects to nothing before the first lock is removed."""

    def __init__(self, url: str) -> None:
        # Whoever asks tries again by themselves, with pauses that the log remembers.
        self._client = client_of(url, retries=0)
        self._locks = SeatLock(self._client.execute_command)

    async def close(self) -> None:
        await self._client.aclose()

    async def unlock(
        self, event_id: int, section: str, seats: Sequence[Seat], reservation_id: str, epoch: int
    ) -> int:
        """Return how many locks a hold had; raises RedisError where Redis does not answer.

        Those of another owner stay, whoever that is: the seats may be held anew already.
        """
        keys = seat_locks(event_id, section, seats)
        return await self._locks.release_of(keys, owner_of(reservation_id, epoch))


class Caches:
    """Of one Redis; connects to nothing before the first key is deleted."""

    def __init__(self, url: str) -> None:
        # Whoever asks tries again by themselves, with pauses that the log remembers.
        self._client = client_of(url, retries=0)

    async def forget(self, keys: Sequence[str]) -> int:
        """Return how many of the keys there were; raises RedisError where Redis does not answer.

        One key after the other: those of a cluster may lie on several nodes. Twice does nothing.
        """
        return sum([int(await self._client.delete(key)) for key in keys])

    async def close(self) -> None:
        await self._client.aclose()
