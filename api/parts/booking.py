"""The booking queue of a pod: how requests come in, and how those that are in are looked at."""

from api.parts.part import Part
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.line import NoAnswer, RedisLine


async def _no_redis(*_: object) -> None:
    raise NoAnswer


class BookingDesk(Part):
    """The queue at one Redis; nobody is in it, and nobody enters, without one.

    entrance: where requests are put into the queue. queue: for all else. Two connections: a Redis
    without room refuses the first, and cuts nobody off who looks or cancels.
    """

    name = "booking"

    def __init__(self, url: str) -> None:
        told = "the booking queue takes nobody in"
        self._lines = [RedisLine(url, told) for _ in range(2)] if url else []
        asks = [line.ask for line in self._lines] or [_no_redis] * 2
        self.entrance, self.queue = map(RedisBookingQueue, asks)

    async def close(self) -> None:
        for line in self._lines:
            await line.close()
