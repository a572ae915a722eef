"""What a booking queue does, whatever keeps it: one interface, which one suite of tests holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from state.domain.booking_queue.items import Item, event_of
from state.domain.booking_queue.statuses import DeadReason, ItemStatus

LOOKED_AT_ONCE: Final = 100
"""Items that one call looks at: the time of whoever keeps the queue is bounded."""


class QueueAway(Exception):
    """What keeps the queue does not answer, or has no room: what was asked may have happened.

    Operator action: see the log of what keeps the queue. Who asked asks again, with the same id.
    """


class QueueUnreadable(Exception):
    """What lies where the queue is kept is none of ours: nobody is told anything of it.

    Operator action: remove what another program has put there.
    """


class NotTaken(StrEnum):
    """Why an item is not enqueued.

    FULL:  its event has as many as it may have. OTHER: another request has its id.
    """

    FULL = "full"
    OTHER = "other"


class Enqueued(NamedTuple):
    """An item that is in the queue; is_new: by this call, and not by a former one."""

    item: Item
    is_new: bool


class Taken(NamedTuple):
    """An item that a worker has; token: by which it records the outcome."""

    item: Item
    token: str


class Waits(NamedTuple):
    """Who waits for a turn, and where: position from 1. ids: as an `Item` has them."""

    item_id: str
    user_id: str
    position: int
    attempts: int
    round: int
    ids: bytes


class Settled(NamedTuple):
    """What came of recording an attempt.

    is_recorded: not where the worker has lost the item; status: of the item, None where it is
    unknown by now. Who held seats for an item that is over without them gives them back.
    """

    is_recorded: bool
    status: ItemStatus | None


class Standing(NamedTuple):
    """How the queue of an event stands.

    given_back, died, lapsed: moved by this call: leases that ended; of these, items that are dead;
                items whose time was over.
    waiting, later, taken, dead: how many there are: for their turn, for another attempt, with a
                worker, for an operator.
    enqueued .. retried: how often each has happened since the queue is kept.
    oldest_ms:  how long the first of those who wait for their turn is there.
    """

    given_back: int
    died: int
    lapsed: int
    waiting: int
    later: int
    taken: int
    dead: int
    enqueued: int
    completed: int
    expired: int
    cancelled: int
    died_ever: int
    retried: int
    oldest_ms: int

    @property
    def length(self) -> int:
        """Return how many items are not over."""
        return self.waiting + self.later + self.taken


def nobody_told(_: str) -> None:
    """Tell nobody that time has ended an item."""


class BookingQueue(Protocol):
    """Items of all events. Each operation raises QueueAway and QueueUnreadable.

    Each may be sent twice for one call, and has the effect of once.

    over: told the id of each item that time has ended in a call of this process: expired, or dead
    because its workers were silent. Whose answer was lost is told nothing.
    """

    over: Callable[[str], None]

    async def enqueue(
        self, event_id: int, user_id: str, key: str, request: bytes, ids: bytes = b""
    ) -> Enqueued | NotTaken:
        """Put a request at the end of its event's line.

        key: the idempotency key: the same request under it is the same item, as it stands now.
        request: at most `REQUEST_BYTES_MAX` bytes. ids: what its trace is followed by, kept with
        a new item; they tell no requests apart.
        """

    async def look(self, item_id: str) -> Item | None:
        """Return an item, or None where it was never there, or is over for too long."""
        event_id = event_of(item_id)
        if event_id is None:
            return None
        [item] = await self.look_all(event_id, (item_id,))
        return item

    async def look_all(self, event_id: int, item_ids: Sequence[str]) -> tuple[Item | None, ...]:
        """Return items of one event, each as `look` does; `LOOKED_AT_ONCE` at most."""

    async def cancel(self, item_id: str, user_id: str) -> Item | None:
        """Take an item back if it waits; return how it stands then, None for no item of this user.

        An item that a worker has is not taken back, nor is one that is over.
        """

    async def take(self, event_id: int) -> Taken | None:
        """Give the next item of an event to a worker; None where nobody waits for a turn."""

    async def reach(self, event_id: int) -> Awaitable[Taken | None] | None:
        """Begin to take the next item; None where nobody waits for a turn.

        What is returned gives the item, or None where another worker had it first. Items are given
        in the order in which they were reached for, and more than one may be on the way.
        """

    async def complete(self, taken: Taken, outcome: bytes) -> Settled:
        """Record the outcome of an item."""

    async def fail(self, taken: Taken, reason: DeadReason, *, is_final: bool) -> Settled:
        """Record that an attempt failed.

        is_final: no other attempt helps. Else there is one after a pause, as long as one is left.
        """

    async def clean(self, event_id: int) -> Standing:
        """Move what time alone moves, a bounded number of items; say how the queue stands."""

    async def standing(self, event_id: int) -> Standing:
        """Say how the queue of an event stands, and move nothing."""

    async def line(self, event_id: int, first: int, most: int) -> tuple[Waits, ...]:
        """Return who waits for a turn, in their order; first: of them, from 0."""

    async def events(self) -> tuple[int, ...]:
        """Return all events that have items that are not over, and some that had."""

    async def forget(self, event_id: int) -> None:
        """Take an event out of those that have items, unless it had one lately."""

    async def dead(self, event_id: int, most: int) -> tuple[str, ...]:
        """Return ids of the items that wait for an operator, the longest dead first."""

    async def requeue(self, item_id: str) -> bool:
        """Have a dead item tried anew at the end of the line; say whether there was one."""

    async def remove(self, item_id: str) -> bool:
        """Forget a dead item; say whether there was one."""
