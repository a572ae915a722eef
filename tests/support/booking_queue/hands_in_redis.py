"""Hands that move time for items of a booking queue at a real Redis."""

from state.domain.booking_queue.items import event_of
from state.redis.keys import booking_queue
from state.redis.scripts import Ask


class RedisHands:
    """Moves time in Redis, for one item."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def lapse(self, item: str) -> None:
        keys = keys_of(item)
        if await self._ask("EXISTS", keys[7] + item):
            await self._ask("HSET", keys[7] + item, "ends", "1")
            await self._ask("ZADD", keys[3], "XX", "1", item)

    async def end_lease(self, item: str) -> None:
        await self._ask("ZADD", keys_of(item)[2], "XX", "1", item)

    async def make_due(self, item: str) -> None:
        await self._ask("ZADD", keys_of(item)[1], "XX", "1", item)


def keys_of(item: str) -> tuple[str, ...]:
    event = event_of(item)
    assert event is not None
    return booking_queue(event)
