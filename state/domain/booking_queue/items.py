"""An item of the booking queue: its id, what it asks for, and how it stands."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from state.domain.booking_queue.statuses import ItemStatus
from state.domain.keys import EVENT_ID_MAX, stem_of

ITEM_ID: Final = re.compile(r"([a-z2-7]{26})-(0|[1-9][0-9]{0,18})")


def item_id(user_id: str, idempotency_key: str, event_id: int) -> str:
    """Return the id of what a user asks of an event under a key: the same request, the same id.

    It tells its event, so that an item is found by its id alone; at most 46 characters.
    """
    return f"{stem_of(user_id, idempotency_key)}-{event_id}"


def event_of(item: str) -> int | None:
    """Return the event that an item's id names, or None for what is no such id."""
    match = ITEM_ID.fullmatch(item)
    event_id = -1 if match is None else int(match[2])
    return event_id if 0 <= event_id <= EVENT_ID_MAX else None


class Item(NamedTuple):
    """An item as the queue tells it.

    position:   from 1 among the items of its event that wait; 0 where it does not wait.
    attempts:   how often a worker has begun with it.
    round:      how often an operator had it tried anew; part of `key`.
    enqueued_ms, expires_ms: by the queue's clock.
    request:    what is asked for; empty once the item is over, unless it is dead.
    outcome:    what a worker recorded; empty before.
    reason:     why it is dead, else empty; as text, since another release may know more reasons.
    ids:        of the request that put it there, by which its trace is followed; empty for none.
    """

    id: str
    event_id: int
    user_id: str
    status: ItemStatus
    position: int
    attempts: int
    round: int
    enqueued_ms: int
    expires_ms: int
    request: bytes
    outcome: bytes
    reason: str
    ids: bytes = b""

    @property
    def key(self) -> str:
        """Return the idempotency key of its command: one reservation, however often it is tried.

        An item that was tried anew by an operator asks for a new one: what the former attempts
        may have held has lapsed since, and lapsed stays lapsed.
        """
        return f"{self.id}.{self.round}" if self.round else self.id
