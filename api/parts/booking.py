"""The booking queue of a pod: how requests come in, and how those that are in are looked at."""

from collections.abc import Iterator, Mapping

from api.parts.notices import Notices
from api.parts.part import Part, closed, started
from api.web.metrics import ApiMetrics
from infra.process.metrics import Reading
from state.domain.booking_queue.queue import BookingQueue
from state.kafka.command_log import CommandLog
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.line import NoAnswer, RedisLine
from state.views.booking_queue.log import BookingLog
from state.views.booking_queue.queue import KafkaBookingQueue


class BookingDesk(Part):
    """The booking queue, whatever keeps it.

    entrance: where requests are put into the queue. queue: for all else.
    notices: what users are to be told of their items.
    """

    name = "booking"
    entrance: BookingQueue
    queue: BookingQueue

    def __init__(self) -> None:
        self.notices = Notices()

    def readings(self) -> Iterator[Reading]:
        yield ApiMetrics.booking_notices_waiting, len(self.notices)


async def _no_redis(*_: object) -> None:
    raise NoAnswer


class RedisBookingDesk(BookingDesk):
    """The queue at one Redis; nobody is in it, and nobody enters, without one.

    Two connections: a Redis without room refuses the first, and cuts nobody off who looks or
    cancels.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        told = "the booking queue takes nobody in"
        self._lines = [RedisLine(url, told) for _ in range(2)] if url else []
        asks = [line.ask for line in self._lines] or [_no_redis] * 2
        self.entrance, self.queue = map(RedisBookingQueue, asks)
        self.queue.over = self.notices.over

    async def close(self) -> None:
        for line in self._lines:
            await line.close()


class KafkaBookingDesk(BookingDesk):
    """The queue of the topic booking-queue, which the pod follows and appends to."""

    is_optional = True

    def __init__(self, lines: BookingLog, log: CommandLog) -> None:
        super().__init__()
        self._lines = lines
        self._log = log
        self.entrance = self.queue = KafkaBookingQueue(lines, log, lines.codecs)
        self.queue.over = self.notices.over

    async def start(self) -> None:
        await started(self._lines)
        await started(self._log)

    async def close(self) -> None:
        await closed(self._log)
        await closed(self._lines)

    def readiness(self) -> Mapping[str, bool]:
        return {self.name: self._lines.is_ready() and self._log.is_ready()}

    def troubles(self) -> Mapping[str, str]:
        return {self.name: self._lines.trouble or self._log.trouble}

    def readings(self) -> Iterator[Reading]:
        yield from super().readings()
        yield ApiMetrics.booking_log_bad, sum(self._lines.counters.bad.values())
        yield ApiMetrics.booking_log_staleness_seconds, self._lines.oldest_ms() / 1000

    def ended(self) -> Mapping[str, str]:
        error = self._lines.failure or self._log.failure
        return {self.name: type(error).__name__} if error else {}
