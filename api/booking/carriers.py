"""Carries items of the booking queue out: so many at once, one event after the other.

While the log does not answer, nothing is taken: items wait, and none uses up its attempts. A pod
that ends takes nothing more; what it has then it carries out, or another does once its lease ends.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from api.booking.carrying import TAKEN_AWAY, Failed, carried_out, given_back
from api.pod import Pod
from api.web.logs import log
from api.web.problems import Problem
from infra.process import spans
from infra.process.breaker import Breaker, Rules, Verdict
from infra.process.log_lines import current
from state.domain.booking_queue.figures import CLEAN_EVERY_MS, CLEANED_AT_ONCE, in_turn
from state.domain.booking_queue.items import Item
from state.domain.booking_queue.queue import (
    BookingQueue,
    QueueAway,
    QueueUnreadable,
    Settled,
    Taken,
)
from state.domain.booking_queue.statuses import OVER, DeadReason
from state.domain.booking_queue.wishes import Carried
from state.records.booking_queue.ids import ids_of
from state.records.booking_queue.wishes import encoded_outcome

IDLE_S: Final = 0.5
"""How long nobody looks again where no event has an item."""

STOP_S: Final = 5.0
"""How long items under way are waited for when the pod ends."""

SAY_AGAIN_S: Final = (0.1, 0.5, 2.0)
"""Pauses before an outcome is recorded again that the queue did not take."""

_SPAN: Final = "booking-queue item"

_QUEUE_FAULTS: Final = (QueueAway, QueueUnreadable)


class Carriers:
    """The workers of a pod; none without a port for gRPC, or where none are set.

    carried, failed: attempts that ended with an outcome, and without.
    """

    def __init__(self, pod: Pod, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._pod = pod
        self._clock_s = clock_s
        self._members = pod.settings.bookers if pod.settings.grpc_port else 0
        self._breaker = Breaker(Rules())
        self._looking = asyncio.Lock()
        self._closing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._last: int | None = None
        self._unreadable: set[int] = set()
        self.carried = 0
        self.failed = 0

    def start(self) -> None:
        if not self._members or self._tasks:
            return
        workers = [self._carry_on() for _ in range(self._members)]
        self._tasks = [asyncio.create_task(one) for one in (*workers, self._clean_on())]

    async def stop(self) -> None:
        """Take nothing more, and end when what is under way has, or after `STOP_S`."""
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_on(self) -> None:
        while not self._ends:
            try:
                if not await self.carry_one():
                    await self._pause(IDLE_S)
            except _QUEUE_FAULTS:
                await self._pause(IDLE_S)
            except Exception:  # noqa: BLE001  (one item's fault ends no worker)
                log.exception("an item of the booking queue was not carried out")
                await self._pause(IDLE_S)

    @property
    def _ends(self) -> bool:
        return self._closing.is_set() or self._pod.draining.is_set()

    async def _pause(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), pause_s)

    async def carry_one(self) -> bool:
        """Carry one item out, if there is one and the log answers; say whether there was."""
        if not self._pod.outcomes.is_ready() or self._breaker.verdict(self._now_ms()) is not (
            Verdict.CALL
        ):
            return False
        period = self._breaker.begin()
        try:
            taken = await self._taken()
        except BaseException:
            self._breaker.given_up(period)
            raise
        if taken is None:
            self._breaker.given_up(period)
            return False
        ids = ids_of(taken.item.id, taken.item.ids)
        token, began_s = current.set(ids), self._clock_s()
        self._pod.booking.notices.item(taken.item)
        try:
            came = await self._attempted(taken.item, period)
            await self._record(taken, came)
        finally:
            current.reset(token)
        took_s = self._clock_s() - began_s
        self._pod.metrics.booking_seconds.observe(took_s)
        told = (("seatstream.queue_item", taken.item.id), ("seatstream.correlation_id", ids.id))
        is_error = isinstance(came, Failed)
        spans.tell(_SPAN, spans.Kind.CONSUMER, ids.traceparent, took_s, told, is_error=is_error)
        return True

    async def _attempted(self, item: Item, period: int) -> Carried | Failed:
        came: Carried | Failed | None = None
        try:
            came = await carried_out(self._pod, item)
        except Exception:  # noqa: BLE001  (nobody knows what came of it: the next attempt tells)
            log.exception("an attempt at an item of the booking queue failed")
            came = Failed(DeadReason.UNKNOWN, is_final=False, is_of_the_log=False)
        finally:
            self._note(came, period)
        return came

    async def _taken(self) -> Taken | None:
        """Take the next item, of the event whose turn it is."""
        while True:
            # One at a time: each event has its turn, and idle workers ask no more than one would.
            async with self._looking:
                reached = await self._reached()
                if reached is None:
                    await self._pause(IDLE_S)
                    return None
            taken = await reached
            if taken is not None or self._ends:
                return taken

    async def _reached(self) -> Awaitable[Taken | None] | None:
        """Return what gives the next item; None where nobody waits. Raises QueueAway."""
        away: QueueAway | None = None
        for event_id in in_turn(await self._pod.booking.queue.events(), self._last):
            # One event's trouble is no other's.
            try:
                reached = await self._pod.booking.queue.reach(event_id)
            except QueueAway as error:
                away = error
            except QueueUnreadable as error:
                if event_id not in self._unreadable:
                    log.error("the booking queue of event %d is none of ours: %s", event_id, error)
                    self._unreadable.add(event_id)
            else:
                if reached is not None:
                    self._last = event_id
                    return reached
        if away is not None:
            raise away
        return None

    def _note(self, came: Carried | Failed | None, period: int) -> None:
        if isinstance(came, Carried):
            self._breaker.succeeded(period)
            self.carried += 1
            outcome = "refused" if came.reason else "held"
            self._pod.metrics.booking_processed.labels(outcome).inc()
            return
        self.failed += 1
        reason = DeadReason.UNKNOWN if came is None else came.reason
        self._pod.metrics.booking_errors.labels(reason).inc()
        if came is not None and came.is_of_the_log:
            self._breaker.failed(period, self._now_ms())
        else:
            self._breaker.given_up(period)

    async def _record(self, taken: Taken, came: Carried | Failed) -> None:
        """Record what came of an item; seats of one that is over without them are given back."""
        settled = await self._settled(taken, came)
        if settled.is_recorded and settled.status in OVER:
            self._tell(taken.item._replace(status=settled.status, position=0), came)
        is_over = not settled.is_recorded and settled.status in TAKEN_AWAY
        if is_over and isinstance(came, Carried) and came.reservation_id:
            with suppress(Problem):
                await given_back(self._pod, taken.item)

    def _tell(self, item: Item, came: Carried | Failed) -> None:
        """Have its user told of an item that is over."""
        if isinstance(came, Carried):
            item = item._replace(outcome=encoded_outcome(came))
        else:
            last = came.reason if came.is_final else DeadReason.MAX_RETRIES_EXCEEDED
            item = item._replace(reason=last)
        self._pod.booking.notices.item(item)

    async def _settled(self, taken: Taken, came: Carried | Failed) -> Settled:
        queue = self._pod.booking.queue
        for pause_s in SAY_AGAIN_S:
            with suppress(QueueAway):
                return await self._say(queue, taken, came)
            await self._pause(pause_s)
        # Where this fails too the lease ends, and the next attempt leads to the same reservation.
        return await self._say(queue, taken, came)

    @staticmethod
    async def _say(queue: BookingQueue, taken: Taken, came: Carried | Failed) -> Settled:
        if isinstance(came, Failed):
            return await queue.fail(taken, came.reason, is_final=came.is_final)
        return await queue.complete(taken, encoded_outcome(came))

    async def _clean_on(self) -> None:
        while not self._ends:
            try:
                await self.clean()
            except _QUEUE_FAULTS:
                pass
            except Exception:  # noqa: BLE001  (else nobody would look after it any more)
                log.exception("the booking queue was not looked after")
            await self._pause(CLEAN_EVERY_MS / 1000)

    async def clean(self) -> None:
        """Move what time alone moves, in every event, and tell how long the queue is."""
        queue = self._pod.booking.queue
        length = dead = oldest_ms = 0
        away: QueueAway | None = None
        for event_id in await queue.events():
            try:
                standing = await queue.clean(event_id)
                while max(standing[:3]) >= CLEANED_AT_ONCE and not self._ends:
                    standing = await queue.clean(event_id)
                if not standing.length:
                    await queue.forget(event_id)
            except QueueAway as error:
                # One event's trouble is no other's.
                away = error
            except QueueUnreadable:
                # Of what cannot be read the workers tell.
                continue
            else:
                length += standing.length
                dead += standing.dead
                oldest_ms = max(oldest_ms, standing.oldest_ms)
        if away is not None:
            # How long the queue is nobody knows then.
            raise away
        self._pod.metrics.booking_length.set(length)
        self._pod.metrics.booking_dead.set(dead)
        self._pod.metrics.booking_oldest_seconds.set(oldest_ms / 1000)

    def _now_ms(self) -> int:
        return int(1000 * self._clock_s())
