"""Has a realtime service tell users how their items stand (S004.4): the pod is its client.

The queue never waits for it. A call has a deadline of 30 s. While the service is away, attempts
are 5 s, 10 s, 20 s and then 30 s apart, and after five in a row none is made for a minute; what is
newer takes the place of what was not told meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
from redis.exceptions import RedisError

from api.parts.notices import News
from api.pod import Pod
from api.settings import ApiSettings
from api.web.logs import log
from infra.process.breaker import Breaker, Rules, Verdict
from schemas.proto import realtime_pb2 as messages
from schemas.proto.realtime_pb2_grpc import RealtimeServiceStub
from state.domain.booking_queue.figures import (
    FIRST_PAUSE_MS,
    LONGEST_PAUSE_MS,
    expected_wait_ms,
)
from state.domain.booking_queue.queue import QueueAway, QueueUnreadable
from state.redis.lease import Leases

CALL_S: Final = 30.0
AT_ONCE: Final = 100
"""Notices of one call."""

PLACES_EVERY_S: Final = 5.0
PLACES_MAX: Final = 1_000
"""Of each line, who is told its place; who waits behind them follows it, or asks."""

PLACES_AT_ONCE: Final = 200
STOP_S: Final = 2.0
"""How long a pod that ends tries to tell what is left."""

ENDED_EVERY_S: Final = 1.0
"""How often a pod looks at items that time has ended in its hands."""

DROPS_SAID_EVERY_S: Final = 60.0

_LEASE_MS: Final = 15_000

_AWAY: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""Codes that say nothing of what was told: it is told again."""

_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.max_receive_message_length", 16_384),
    ("grpc.max_reconnect_backoff_ms", LONGEST_PAUSE_MS),
    ("grpc.keepalive_time_ms", 60_000),
)


def channel_to(settings: ApiSettings) -> grpc.aio.Channel:
    """Return a channel to the realtime service, encrypted where its address says so."""
    parts = urlsplit(settings.realtime_url)
    if parts.scheme == "http":
        return grpc.aio.insecure_channel(parts.netloc, _OPTIONS)
    roots = Path(settings.realtime_ca).read_bytes() if settings.realtime_ca else None
    credentials = grpc.ssl_channel_credentials(roots)
    return grpc.aio.secure_channel(parts.netloc, credentials, _OPTIONS)


class Teller:
    """Tells what a pod notes, and at one pod at a time the places of all lines."""

    def __init__(self, pod: Pod, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._pod = pod
        self._notices = pod.booking.notices
        self._notices.is_on = True
        self._notices.on_drop = self._note_drop
        self._clock_s = clock_s
        self._say_drops_s = clock_s()
        self._breaker = Breaker(Rules())
        self._failed = 0
        self._closing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._channel: grpc.aio.Channel | None = None
        self._stub: Any = None
        self._places: dict[int, dict[str, int]] = {}
        self._troubles: dict[str, str] = {}
        token = pod.settings.realtime_token
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def start(self) -> None:
        self._channel = channel_to(self._pod.settings)
        self._stub = RealtimeServiceStub(self._channel)  # type: ignore[no-untyped-call]
        running = self._tell_on(), self._places_on(), self._ended_on()
        self._tasks = [asyncio.create_task(one, name="booking queue: notices") for one in running]

    async def stop(self) -> None:
        """End, once what is left is told or could not be within `STOP_S`."""
        self._closing.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._channel is None:
            return
        with suppress(TimeoutError, QueueAway):
            async with asyncio.timeout(STOP_S):
                await self.note_ended()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                while (left := self._notices.take(AT_ONCE)) and await self.tell(left):
                    pass
        await self._channel.close()

    async def _tell_on(self) -> None:
        while not self._closing.is_set():
            await self._notices.noted.wait()
            self._notices.noted.clear()
            with self._going_on("notices are not told"):
                while not self._closing.is_set() and (taken := self._notices.take(AT_ONCE)):
                    if not await self.tell(taken):
                        await self._pause(self._pause_s())

    @contextmanager
    def _going_on(self, what: str) -> Iterator[None]:
        """Have an error end one round alone, and say it once, until another is in its place."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  (whatever it is, the next round tries again)
            trouble = f"{type(error).__name__}: {error}"
            if self._troubles.get(what) != trouble:
                log.error("%s: %s", what, trouble)
            self._troubles[what] = trouble
        else:
            self._troubles.pop(what, None)

    def _pause_s(self) -> float:
        """Return how long nothing is told after a failure."""
        open_ms = self._breaker.left_ms(self._now_ms())
        pause_ms = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(max(self._failed, 1) - 1, 8))
        return max(open_ms, pause_ms) / 1000

    async def _pause(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._closing.wait()

    async def tell(self, news: Sequence[News]) -> bool:
        """Tell news in one call; say whether the service has answered for all of it.

        What it did not take because it is away is put back; what it does not take at all is told
        alone, and dropped where that does not help.
        """
        if self._breaker.verdict(self._now_ms()) is not Verdict.CALL:
            self._notices.back(news)
            return False
        code = await self._called(news)
        if code is grpc.StatusCode.OK:
            self._failed = 0
            self._pod.metrics.booking_notices.labels("told").inc(len(news))
            return True
        if code in _AWAY:
            self._failed += 1
            self._notices.back(news)
            return False
        if len(news) == 1:
            log.warning("the realtime service takes no notice of %r: %s", news[0].id, code.name)
            self._pod.metrics.booking_notices.labels("dropped").inc()
            return True
        told = [await self.tell([one]) for one in news]
        return all(told)

    async def _called(self, news: Sequence[News]) -> grpc.StatusCode:
        period = self._breaker.begin()
        code: grpc.StatusCode | None = None
        try:
            request = messages.NotifyQueueRequest(notices=[_message(one) for one in news])
            await self._stub.NotifyQueue(request, timeout=CALL_S, metadata=self._metadata)
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
        except Exception as error:  # noqa: BLE001  (one notice that cannot be sent is dropped alone)
            log.error("a notice could not be sent: %s: %s", type(error).__name__, error)
            code = grpc.StatusCode.INTERNAL
        finally:
            if code is None:
                # Cancelled: nobody knows.
                self._breaker.given_up(period)
        if code is grpc.StatusCode.OK:
            self._breaker.succeeded(period)
        else:
            self._breaker.failed(period, self._now_ms())
            log.info("the realtime service was not told: %s", code.name)
        return code

    async def _places_on(self) -> None:
        leases = Leases(self._pod.settings.lease_servers)
        lease = leases.of("booking-places", _LEASE_MS)
        try:
            while not self._closing.is_set():
                await self._pause(PLACES_EVERY_S)
                with self._going_on("places are not told"), suppress(QueueAway):
                    if await lease.turn() is not False:
                        await self.note_places()
        finally:
            with suppress(RedisError, OSError):
                await lease.give_up()
            await leases.close()

    async def _ended_on(self) -> None:
        while not self._closing.is_set():
            await self._pause(ENDED_EVERY_S)
            with (
                self._going_on("items that time has ended are not looked at"),
                suppress(QueueAway),
            ):
                await self.note_ended()

    async def note_ended(self) -> None:
        """Note how items stand that time has ended in this pod's hands; raises QueueAway."""
        while (item_id := self._notices.first_over()) is not None:
            item = None
            # Of what cannot be read the workers tell.
            with suppress(QueueUnreadable):
                try:
                    item = await self._pod.booking.queue.look(item_id)
                except QueueAway:
                    # One event's trouble is no other's.
                    self._notices.put_off(item_id)
                    raise
            self._notices.looked_at(item_id, item)

    def _note_drop(self) -> None:
        self._pod.metrics.booking_notices.labels("no_room").inc()
        now_s = self._clock_s()
        if now_s >= self._say_drops_s:
            self._say_drops_s = now_s + DROPS_SAID_EVERY_S
            dropped = self._notices.dropped
            log.warning("the realtime service is behind: %d notices made room so far", dropped)

    async def note_places(self) -> None:
        """Note each place that has changed since this pod noted it last."""
        before, self._places = self._places, {}
        for event_id in await self._pod.booking.queue.events():
            known = before.get(event_id, {})
            # Of what cannot be read the workers tell.
            with suppress(QueueUnreadable):
                try:
                    self._places[event_id] = await self._note_places_of(event_id, known)
                except QueueAway:
                    # One event's trouble is no other's.
                    self._places[event_id] = dict(known)

    async def _note_places_of(self, event_id: int, known: Mapping[str, int]) -> dict[str, int]:
        places = dict[str, int]()
        for first in range(0, PLACES_MAX, PLACES_AT_ONCE):
            page = await self._pod.booking.queue.line(event_id, first, PLACES_AT_ONCE)
            for one in page:
                places[one.item_id] = one.position
                if known.get(one.item_id) != one.position:
                    self._notices.place(event_id, one)
            if len(page) < PLACES_AT_ONCE:
                break
        return places

    def _now_ms(self) -> int:
        return int(1000 * self._clock_s())


def _message(news: News) -> messages.QueueNotice:
    return messages.QueueNotice(
        notice_id=news.id,
        type=news.notice,
        user_id=news.user_id,
        event_id=news.event_id,
        queue_item_id=news.item_id,
        position=news.position,
        estimated_wait_ms=expected_wait_ms(news.position),
        revision=news.revision,
        reservation_id=news.carried.reservation_id,
        reason=news.carried.reason,
        correlation_id=news.ids.id,
        traceparent=news.ids.traceparent,
    )
