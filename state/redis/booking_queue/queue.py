"""The booking queue in Redis, one script an operation.

All keys of an event lie on one node of a cluster. The clock is Redis' own, so that no worker's
clock decides whose lease is over. An item leaves only when its outcome is recorded: a worker that
dies has a lease that ends, and then the item goes back to its place.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from state.domain.booking_queue.figures import (
    CLEANED_AT_ONCE,
    DEAD_MS,
    ITEM_MS,
    KEPT_MS,
    LEASE_MS,
    LENGTH_MAX,
    REQUEST_BYTES_MAX,
    RETRIES_MAX,
    pause_ms,
)
from state.domain.booking_queue.items import Item, event_of, item_id
from state.domain.booking_queue.queue import (
    LOOKED_AT_ONCE,
    BookingQueue,
    Enqueued,
    NotTaken,
    QueueAway,
    QueueUnreadable,
    Settled,
    Standing,
    Taken,
    Waits,
    nobody_told,
)
from state.domain.booking_queue.statuses import DeadReason, ItemStatus
from state.redis.keys import QUEUE_EVENTS, booking_queue
from state.redis.line import NoAnswer, TooManyAsk
from state.redis.scripts import Ask, Script, read_as

LISTED_MS: Final = 60_000
"""How long after its last item came an event without items is looked after: longer than the two
calls of one enqueue may be apart."""

EVENTS_KEPT_MS: Final = 7 * 86_400_000

_EVENTS_AT_ONCE: Final = 1_000
_PAUSES: Final = [str(pause_ms(failed)) for failed in range(1, RETRIES_MAX + 1)]

_ENQUEUE: Final = Script("lasting", "queue", "queue_enqueue")
_LOOK: Final = Script("lasting", "queue", "queue_look")
_CANCEL: Final = Script("lasting", "queue", "queue_cancel")
_TAKE: Final = Script("lasting", "queue", "queue_take")
_SETTLE: Final = Script("lasting", "queue", "queue_settle")
_CLEAN: Final = Script("lasting", "queue", "queue_clean")
_REQUEUE: Final = Script("lasting", "queue", "queue_requeue")
_LINE: Final = Script("lasting", "queue", "queue_line")
_LIST: Final = Script("queue_list")

_NEW, _MOVED_FIRST, _IS_TAKEN = 1, 2, 1
_REFUSED: Final = {-1: NotTaken.FULL, -2: NotTaken.OTHER}


class RedisBookingQueue(BookingQueue):
    """The queues of all events at one Redis, or of one cluster.

    length_max: items of an event that are not over.
    """

    def __init__(self, ask: Ask, *, length_max: int = LENGTH_MAX) -> None:
        self._ask = ask
        self._length_max = length_max
        self.over: Callable[[str], None] = nobody_told

    async def enqueue(
        self, event_id: int, user_id: str, key: str, request: bytes, ids: bytes = b""
    ) -> Enqueued | NotTaken:
        assert len(request) <= REQUEST_BYTES_MAX
        made = item_id(user_id, key, event_id)
        digest = sha256(request).hexdigest()
        values = (made, user_id, digest, request, self._length_max, ITEM_MS, ids)
        # Told only when both are done: an item of an event that is not listed has no worker.
        with _as_away():
            _, (came, told) = await asyncio.gather(
                _LIST.run(self._ask, (QUEUE_EVENTS,), (event_id, 0, EVENTS_KEPT_MS)),
                _ENQUEUE.run(self._ask, booking_queue(event_id), values),
            )
        if came in _REFUSED:
            return _REFUSED[came]
        return Enqueued(_sure(made, told), came == _NEW)

    async def look_all(self, event_id: int, item_ids: Sequence[str]) -> tuple[Item | None, ...]:
        assert len(item_ids) <= LOOKED_AT_ONCE
        with _as_away():
            told = await _LOOK.run(self._ask, booking_queue(event_id), tuple(item_ids))
        return tuple(map(_item, item_ids, told))

    async def cancel(self, item_id: str, user_id: str) -> Item | None:
        event_id = event_of(item_id)
        if event_id is None:
            return None
        with _as_away():
            told = await _CANCEL.run(
                self._ask, booking_queue(event_id), (item_id, user_id, KEPT_MS)
            )
        return _item(item_id, told)

    async def take(self, event_id: int) -> Taken | None:
        # The same token for a script that is sent again: it has taken one item then.
        token = secrets.token_hex(16)
        values = (token, LEASE_MS, CLEANED_AT_ONCE, RETRIES_MAX, KEPT_MS, DEAD_MS)
        while True:
            with _as_away():
                came, ended, *told = await _TAKE.run(self._ask, booking_queue(event_id), values)
            self._tell(ended)
            if came == _IS_TAKEN:
                with read_as(QueueUnreadable):
                    made = told[0].decode()
                return Taken(_sure(made, told[1]), token)
            if came != _MOVED_FIRST:
                return None

    async def reach(self, event_id: int) -> Awaitable[Taken | None] | None:
        # One script: whoever is reached for is taken.
        taken = await self.take(event_id)
        return None if taken is None else _at_once(taken)

    async def complete(self, taken: Taken, outcome: bytes) -> Settled:
        return await self._settle(taken, "completed", outcome, ())

    async def fail(self, taken: Taken, reason: DeadReason, *, is_final: bool) -> Settled:
        # Where none is left, it is dead of that; the last failure is in the worker's log.
        told = reason if is_final else DeadReason.MAX_RETRIES_EXCEEDED
        return await self._settle(taken, "failed", told, () if is_final else _PAUSES)

    async def clean(self, event_id: int) -> Standing:
        return await self._clean(event_id, CLEANED_AT_ONCE)

    async def standing(self, event_id: int) -> Standing:
        return await self._clean(event_id, 0)

    async def line(self, event_id: int, first: int, most: int) -> tuple[Waits, ...]:
        with _as_away():
            told = await _LINE.run(self._ask, booking_queue(event_id), (first, first + most - 1))
        with read_as(QueueUnreadable):
            return tuple(
                Waits(item.decode(), user.decode(), place, int(tries), int(round_), ids)
                for place, (item, user, tries, round_, ids) in enumerate(told, first + 1)
            )

    async def events(self) -> tuple[int, ...]:
        found: set[int] = set()
        first = 0
        while True:
            with _as_away():
                page = await self._ask("ZRANGE", QUEUE_EVENTS, first, first + _EVENTS_AT_ONCE - 1)
            # What is no number somebody else has put there.
            found.update(int(event_id) for event_id in page if event_id.isdigit())
            if len(page) < _EVENTS_AT_ONCE:
                return tuple(sorted(found))
            first += _EVENTS_AT_ONCE

    async def forget(self, event_id: int) -> None:
        with _as_away():
            await _LIST.run(self._ask, (QUEUE_EVENTS,), (event_id, LISTED_MS, EVENTS_KEPT_MS))

    async def dead(self, event_id: int, most: int) -> tuple[str, ...]:
        with _as_away():
            page = await self._ask("ZRANGE", booking_queue(event_id)[5], 0, most - 1)
        with read_as(QueueUnreadable):
            return tuple(item.decode() for item in page)

    async def requeue(self, item_id: str) -> bool:
        return await self._revive(item_id, ITEM_MS)

    async def remove(self, item_id: str) -> bool:
        return await self._revive(item_id, 0)

    async def _settle(
        self, taken: Taken, how: str, what: str | bytes, pauses: Sequence[str]
    ) -> Settled:
        item, token = taken
        values: list[Any] = [item.id, token, how, what, KEPT_MS, DEAD_MS, *pauses]
        with _as_away():
            recorded, status = await _SETTLE.run(self._ask, booking_queue(item.event_id), values)
        with read_as(QueueUnreadable):
            return Settled(bool(recorded), ItemStatus(status.decode()) if status else None)

    async def _clean(self, event_id: int, most: int) -> Standing:
        values = (most, RETRIES_MAX, KEPT_MS, DEAD_MS)
        with _as_away():
            ended, *told = await _CLEAN.run(self._ask, booking_queue(event_id), values)
        self._tell(ended)
        with read_as(QueueUnreadable):
            return Standing(*map(int, told))

    def _tell(self, ended: Sequence[bytes]) -> None:
        for one in ended:
            # What is no text is no id of ours.
            self.over(one.decode(errors="replace"))

    async def _revive(self, item_id: str, lasts_ms: int) -> bool:
        event_id = event_of(item_id)
        if event_id is None:
            return False
        with _as_away():
            if lasts_ms:
                await _LIST.run(self._ask, (QUEUE_EVENTS,), (event_id, 0, EVENTS_KEPT_MS))
            done = await _REQUEUE.run(self._ask, booking_queue(event_id), (item_id, lasts_ms))
        return bool(done)


async def _at_once(taken: Taken) -> Taken:
    return taken


@contextmanager
def _as_away() -> Iterator[None]:
    try:
        yield
    except ResponseError as error:
        if "WRONGTYPE" in str(error):
            raise QueueUnreadable(str(error)) from error
        raise QueueAway(str(error)) from error
    except (RedisError, NoAnswer, TooManyAsk, OSError) as error:
        raise QueueAway(f"{type(error).__name__}: {error}") from error


def _sure(item_id: str, told: Sequence[Any]) -> Item:
    item = _item(item_id, told)
    if item is None:
        raise QueueUnreadable(f"{item_id} is listed, and not there")
    return item


def _item(item_id: str, told: Sequence[Any]) -> Item | None:
    if not told:
        return None
    with read_as(QueueUnreadable):
        user, status, place, tries, round_, at, ends, request, outcome, reason, ids = told
        event_id = event_of(item_id)
        if event_id is None:
            raise ValueError(f"no id of an item: {item_id!r}")
        return Item(
            id=item_id,
            event_id=event_id,
            user_id=user.decode(),
            status=ItemStatus(status.decode()),
            position=int(place),
            attempts=int(tries),
            round=int(round_),
            enqueued_ms=int(at),
            expires_ms=int(ends),
            request=request,
            outcome=outcome,
            reason=reason.decode(),
            ids=ids,
        )
