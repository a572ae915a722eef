"""The booking queue in Kafka: what is asked of it is a record, and what became of it its fold.

A call appends one record and waits until this process has folded it: what it did there it did in
every pod. Look-ups are answered from memory. The clock is the log's: that of a pod says only when
it is worth the while to have the log look after its time.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from state.domain.booking_queue.figures import REQUEST_BYTES_MAX
from state.domain.booking_queue.items import Item, event_of, item_id
from state.domain.booking_queue.queue import (
    BookingQueue,
    Enqueued,
    NotTaken,
    QueueAway,
    Settled,
    Standing,
    Taken,
    Waits,
    nobody_told,
)
from state.domain.booking_queue.statuses import DeadReason, ItemStatus
from state.domain.keys import partition_of
from state.kafka.command_log import Appender, AppendUnknown, NotAppended
from state.records.booking_queue.commands import (
    CancelItem,
    CleanLine,
    EnqueueItem,
    QueueCodecs,
    QueueCommand,
    RemoveItem,
    RequeueItem,
    SettleItem,
    TakeItem,
)
from state.records.booking_queue.ids import ids_as_headers
from state.records.event import event_key
from state.views.booking_queue.contents import BookingLines, Done

ANSWER_S: Final = 10.0
"""How long a record may take to be folded here; then nobody knows what it did."""

STALE_MS: Final = 5_000
"""A pod that has not heard so lately how far the log goes tells nothing from memory."""


NAMED_MAX: Final = 64
"""Items that a process names to the log at once; the next one waits for an answer."""


def wall_clock_ms() -> int:
    return int(1000 * time.time())


class KafkaBookingQueue(BookingQueue):
    """The queues of all events of one log. All methods belong to one loop.

    answer_s: longest wait for what a record did.
    """

    def __init__(
        self,
        lines: BookingLines,
        log: Appender,
        codecs: QueueCodecs,
        *,
        answer_s: float = ANSWER_S,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._lines = lines
        self._log = log
        self._codecs = codecs
        self._answer_s = answer_s
        self._clock_ms = clock_ms
        # One after the other: all at once would name the same item.
        self._naming = asyncio.Lock()
        self._named: dict[str, asyncio.Future[Taken | None]] = {}
        self.over: Callable[[str], None] = nobody_told

    async def enqueue(
        self, event_id: int, user_id: str, key: str, request: bytes, ids: bytes = b""
    ) -> Enqueued | NotTaken:
        assert len(request) <= REQUEST_BYTES_MAX
        made = item_id(user_id, key, event_id)
        command = EnqueueItem(_call_id(), made.encode(), user_id.encode(), request)
        done = await self._done(event_id, command, ids)
        if isinstance(done.did, NotTaken):
            return done.did
        assert done.item is not None
        return Enqueued(done.item, done.did)

    async def look_all(self, event_id: int, item_ids: Sequence[str]) -> tuple[Item | None, ...]:
        items = self._known(event_id, item_ids)
        if None in items:
            # Another pod may have been told of it just now.
            await self._read(event_id)
            items = self._known(event_id, item_ids)
        return items

    async def cancel(self, item_id: str, user_id: str) -> Item | None:
        item = await self.look(item_id)
        if item is None or item.user_id != user_id:
            return None
        command = CancelItem(_call_id(), item_id.encode(), user_id.encode())
        done = await self._done(item.event_id, command)
        return done.item if done.did else None

    async def take(self, event_id: int) -> Taken | None:
        while (reached := await self.reach(event_id)) is not None:
            taken = await reached
            if taken is not None:
                return taken
        return None

    async def reach(self, event_id: int) -> Awaitable[Taken | None] | None:
        async with self._naming:
            await self._caught_up(event_id)
            while len(self._named) >= NAMED_MAX:
                await asyncio.wait(self._named.values(), return_when=asyncio.FIRST_COMPLETED)
            self._check(event_id)
            with self._lines.lines() as lines:
                line = lines.known(event_id)
                first = None if line is None else line.first(self._named)
            if first is None:
                return None
            # Tasks begin in their order, and so do their records.
            reached = asyncio.ensure_future(self._taken(event_id, first))
            self._named[first] = reached
            reached.add_done_callback(lambda _: self._named.pop(first))
            return reached

    async def _taken(self, event_id: int, item_id: str) -> Taken | None:
        """Name an item to the log; return it where it was there for this worker."""
        token = secrets.token_hex(16)
        command = TakeItem(_call_id(), item_id.encode(), token.encode())
        done = await self._done(event_id, command)
        if done.did and done.item is not None:
            return Taken(done.item, token)
        if done.item is not None and done.item.status is ItemStatus.EXPIRED:
            self.over(item_id)
        return None

    async def complete(self, taken: Taken, outcome: bytes) -> Settled:
        return await self._settle(taken, has_outcome=True, outcome=outcome, is_final=True)

    async def fail(self, taken: Taken, reason: DeadReason, *, is_final: bool) -> Settled:
        return await self._settle(taken, reason=reason, is_final=is_final)

    async def clean(self, event_id: int) -> Standing:
        return await self._cleaned(event_id) or await self.standing(event_id)

    async def standing(self, event_id: int) -> Standing:
        self._check(event_id)
        with self._lines.lines() as lines:
            return lines.standing(event_id, self._clock_ms())

    async def line(self, event_id: int, first: int, most: int) -> tuple[Waits, ...]:
        self._check(event_id)
        with self._lines.lines() as lines:
            line = lines.known(event_id)
            return () if line is None else line.waiting(first, most)

    async def events(self) -> tuple[int, ...]:
        self._check()
        with self._lines.lines() as lines:
            return lines.events()

    async def forget(self, event_id: int) -> None:
        """Do nothing: an event is known as long as one of its items is."""

    async def dead(self, event_id: int, most: int) -> tuple[str, ...]:
        await self._read(event_id)
        with self._lines.lines() as lines:
            line = lines.known(event_id)
            return () if line is None else line.dead(most)

    async def requeue(self, item_id: str) -> bool:
        item = await self._dead_now(item_id)
        if item is None:
            return False
        user, round_ = item.user_id.encode(), item.round + 1
        command = RequeueItem(_call_id(), item_id.encode(), user, item.request, round_)
        return bool((await self._done(item.event_id, command, item.ids)).did)

    async def remove(self, item_id: str) -> bool:
        item = await self._dead_now(item_id)
        if item is None:
            return False
        command = RemoveItem(_call_id(), item_id.encode())
        return bool((await self._done(item.event_id, command)).did)

    async def _settle(
        self,
        taken: Taken,
        *,
        has_outcome: bool = False,
        outcome: bytes = b"",
        reason: str = "",
        is_final: bool,
    ) -> Settled:
        (item, token), call_id = taken, _call_id()
        told = item.id.encode(), token.encode()
        command = SettleItem(call_id, *told, has_outcome, outcome, reason.encode(), is_final)
        settled = (await self._done(item.event_id, command)).did
        assert isinstance(settled, Settled)
        return settled

    async def _caught_up(self, event_id: int) -> None:
        """Have the log move what is due, so that who comes back to the line stands in it."""
        while standing := await self._cleaned(event_id):
            if not any(standing[:3]):
                # What is due by this pod's clock is not by the log's.
                return

    async def _cleaned(self, event_id: int) -> Standing | None:
        """Have the log look after a line in which something may be due; None where nothing is."""
        self._check(event_id)
        with self._lines.lines() as lines:
            line = lines.known(event_id)
            if line is None or not line.is_due(self._clock_ms()):
                return None
        done = await self._done(event_id, CleanLine(_call_id(), event_id))
        for over in done.did.over:
            self.over(over)
        return done.standing

    async def _dead_now(self, item_id: str) -> Item | None:
        event_id = event_of(item_id)
        if event_id is None:
            return None
        await self._read(event_id)
        [item] = self._known(event_id, (item_id,))
        return item if item is not None and item.status is ItemStatus.DEAD else None

    def _known(self, event_id: int, item_ids: Sequence[str]) -> tuple[Item | None, ...]:
        self._check(event_id)
        with self._lines.lines() as lines:
            line = lines.known(event_id)
            return tuple(None if line is None else line.look(one) for one in item_ids)

    def _check(self, event_id: int | None = None) -> None:
        """Raise QueueAway where this process does not know how the queue of an event stands.

        None: where it knows of no event's. A partition without a leader is no other one's trouble.
        """
        if not self._lines.is_ready() or self._lines.staleness_ms(event_id) > STALE_MS:
            raise QueueAway(self._lines.trouble or "the log of the queue is not read to its end")

    async def _read(self, event_id: int) -> None:
        """Return once all is read that was there at this call; raises QueueAway."""
        if not await self._lines.certain(event_id, self._answer_s):
            raise QueueAway(self._lines.trouble or "the brokers do not say where the log ends")

    async def _done(self, event_id: int, command: QueueCommand, ids: bytes = b"") -> Done:
        """Append a command and return what it did; raises QueueAway, and it may be done then.

        ids: of the request that the item comes of; they are the headers of its record.
        """
        self._check(event_id)
        key = event_key(event_id)
        with self._lines.calls.waiting(command.call_id) as answer:
            try:
                async with asyncio.timeout(self._answer_s):
                    partition = partition_of(key, self._log.partitions)
                    value, headers = self._codecs.encoded(command), ids_as_headers(ids)
                    await self._log.send(key, value, partition=partition, headers=headers)
                    return await answer
            except (NotAppended, AppendUnknown) as error:
                raise QueueAway(f"{type(error).__name__}: {error}") from error
            except TimeoutError as error:
                raise QueueAway("in the log, perhaps, and not read back") from error


def _call_id() -> bytes:
    return secrets.token_hex(16).encode()
