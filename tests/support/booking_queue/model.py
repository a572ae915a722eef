"""The queue of one event as a dict: no Redis, no clock, no scripts.

Time is what is done by hand: an item's time is over, its lease has ended, its next attempt is due.
"""

from dataclasses import dataclass, field

from state.domain.booking_queue.figures import pause_ms
from state.domain.booking_queue.items import item_id
from state.domain.booking_queue.queue import NotTaken
from state.domain.booking_queue.statuses import OVER, DeadReason, ItemStatus


@dataclass
class ModelOfItem:
    """One item; place: its number in the line. pauses: it waits for its next attempt."""

    user: str
    request: bytes
    place: int
    status: ItemStatus = ItemStatus.WAITING
    tries: int = 0
    round: int = 0
    token: str = ""
    last: str = ""
    pauses: bool = False
    is_due: bool = False
    is_lapsed: bool = False
    lease_ended: bool = False
    outcome: bytes = b""
    reason: str = ""


@dataclass
class ModelOfQueue:
    """What the queue of an event must be."""

    event: int
    length_max: int
    items: dict[str, ModelOfItem] = field(default_factory=dict)
    numbers: int = 0

    def enqueue(self, user: str, key: str, request: bytes) -> tuple[str, bool] | NotTaken:
        made = item_id(user, key, self.event)
        if made in self.items:
            is_same = self.items[made].request == request
            return (made, False) if is_same else NotTaken.OTHER
        if sum(item.status not in OVER for item in self.items.values()) >= self.length_max:
            return NotTaken.FULL
        self.numbers += 1
        self.items[made] = ModelOfItem(user, request, self.numbers)
        return made, True

    def cancel(self, of: str, user: str) -> bool:
        """Say whether this user has such an item."""
        item = self.items.get(of)
        if item is None or item.user != user:
            return False
        if item.status is ItemStatus.WAITING:
            item.status = ItemStatus.CANCELLED
        return True

    def line(self) -> list[str]:
        waits = {
            of: item
            for of, item in self.items.items()
            if item.status is ItemStatus.WAITING and not item.pauses
        }
        return sorted(waits, key=lambda of: waits[of].place)

    def position(self, of: str) -> int:
        item = self.items[of]
        if item.status is not ItemStatus.WAITING:
            return 0
        return 1 + sum(self.items[other].place < item.place for other in self.line())

    def catch_up(self) -> None:
        for item in self.items.values():
            if item.status is ItemStatus.PROCESSING and item.lease_ended:
                item.token, item.lease_ended = "", False
                item.status = ItemStatus.WAITING
                if pause_ms(item.tries) is None:
                    item.status, item.reason = ItemStatus.DEAD, DeadReason.TIMEOUT
            if item.status is ItemStatus.WAITING and item.is_due:
                item.pauses = item.is_due = False
            if item.status is ItemStatus.WAITING and item.is_lapsed:
                item.status = ItemStatus.EXPIRED

    def take(self, token: str) -> str | None:
        self.catch_up()
        for of in self.line():
            item = self.items[of]
            item.status, item.token = ItemStatus.PROCESSING, token
            item.tries += 1
            return of
        return None

    def settle(
        self, of: str, token: str, outcome: bytes | None, reason: str, *, is_final: bool
    ) -> tuple[bool, ItemStatus | None]:
        item = self.items.get(of)
        if item is None:
            return False, None
        if item.token != token:
            return item.last == token, item.status
        item.token, item.last, item.lease_ended = "", token, False
        if outcome is not None:
            item.status, item.outcome = ItemStatus.COMPLETED, outcome
        elif is_final or pause_ms(item.tries) is None:
            item.status = ItemStatus.DEAD
            item.reason = reason if is_final else DeadReason.MAX_RETRIES_EXCEEDED
        else:
            item.status, item.pauses = ItemStatus.WAITING, True
        return True, item.status

    def requeue(self, of: str) -> bool:
        item = self.items.get(of)
        if item is None or item.status is not ItemStatus.DEAD:
            return False
        self.numbers += 1
        fresh = ModelOfItem(item.user, item.request, self.numbers, round=item.round + 1)
        self.items[of] = fresh
        return True

    def remove(self, of: str) -> bool:
        item = self.items.get(of)
        if item is None or item.status is not ItemStatus.DEAD:
            return False
        del self.items[of]
        return True
