"""What users are to be told of their items by a realtime service: the newest of each item.

Whoever notes something never waits, and nothing is noted where there is no such service. What is
not taken over in time makes room for what is newer.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final, NamedTuple

from infra.process.log_lines import Correlation
from state.domain.booking_queue.items import Item
from state.domain.booking_queue.notices import Notice, mark_of, notice_of, revision_of
from state.domain.booking_queue.queue import Waits
from state.domain.booking_queue.statuses import ItemStatus
from state.domain.booking_queue.wishes import Carried
from state.records.booking_queue.ids import ids_of
from state.records.booking_queue.wishes import WishUnreadable, decoded_outcome

WAITING_MAX: Final = 10_000
"""Places that are kept for the service, as many turns and ends, and as many items that time has
ended and nobody has looked at yet."""


class News(NamedTuple):
    """What one user is to be told of one item.

    id: the same for the same news. revision: of two of one item the higher one is newer.
    """

    id: str
    notice: Notice
    user_id: str
    event_id: int
    item_id: str
    position: int
    revision: int
    carried: Carried
    ids: Correlation


class Notices:
    """What is to be told; is_on: somebody tells it.

    dropped: how much nobody will be told. on_drop: called with each of these.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.dropped = 0
        self.on_drop: Callable[[], None] = lambda: None
        self.noted = asyncio.Event()
        # Turns and ends are told first: places are told again anyway.
        self._turns = OrderedDict[str, News]()
        self._places = OrderedDict[str, News]()
        self._over = OrderedDict[str, None]()

    def __len__(self) -> int:
        return len(self._turns) + len(self._places) + len(self._over)

    def over(self, item_id: str) -> None:
        """Have its user told of an item that time has ended, once somebody has looked at it."""
        if self.is_on and item_id not in self._over:
            self._make_room(self._over)
            self._over[item_id] = None

    def first_over(self) -> str | None:
        """Return the first item that time has ended, and that is to be looked at."""
        return next(iter(self._over), None)

    def put_off(self, item_id: str) -> None:
        """Have others looked at before an item of which nobody knows now."""
        self._over.move_to_end(item_id)

    def looked_at(self, item_id: str, item: Item | None) -> None:
        """Have its user told how an item stands that time has ended; None where it is gone."""
        self._over.pop(item_id, None)
        if item is not None:
            self.item(item)

    def item(self, item: Item) -> None:
        """Have its user told how an item stands."""
        if not self.is_on:
            return
        try:
            carried = decoded_outcome(item.outcome)
        except WishUnreadable:
            # Of a later release; whoever asks for the item is told so.
            return
        self._note(
            News(
                f"{item.id}-{mark_of(item.status, item.position, item.attempts, item.round)}",
                notice_of(item.status, carried),
                item.user_id,
                item.event_id,
                item.id,
                item.position,
                revision_of(item.status, item.attempts, item.round),
                Carried(carried.reservation_id, item.reason or carried.reason),
                ids_of(item.id, item.ids),
            )
        )

    def place(self, event_id: int, waits: Waits) -> None:
        """Have a user told at which place an item waits."""
        if not self.is_on:
            return
        status = ItemStatus.WAITING
        self._note(
            News(
                f"{waits.item_id}-{mark_of(status, waits.position, waits.attempts, waits.round)}",
                Notice.QUEUE_POSITION,
                waits.user_id,
                event_id,
                waits.item_id,
                waits.position,
                revision_of(status, waits.attempts, waits.round),
                Carried("", ""),
                ids_of(waits.item_id, waits.ids),
            )
        )

    def _note(self, news: News) -> None:
        known = self._turns.get(news.item_id) or self._places.get(news.item_id)
        if known is not None and known.revision > news.revision:
            return
        self._turns.pop(news.item_id, None)
        self._places.pop(news.item_id, None)
        into = self._places if news.notice is Notice.QUEUE_POSITION else self._turns
        self._make_room(into)
        into[news.item_id] = news
        self.noted.set()

    def _make_room(self, into: OrderedDict[str, Any]) -> None:
        if len(into) >= WAITING_MAX:
            into.popitem(last=False)
            self.dropped += 1
            self.on_drop()

    def take(self, most: int) -> list[News]:
        """Take out what is to be told next, turns and ends before places, the oldest first."""
        taken: list[News] = []
        for kept in (self._turns, self._places):
            first = list(islice(kept, most - len(taken)))
            taken += [kept.pop(item_id) for item_id in first]
        return taken

    def back(self, news: Iterable[News]) -> None:
        """Put back what could not be told; what is newer by now stays."""
        for one in news:
            if one.item_id not in self._turns and one.item_id not in self._places:
                self._note(one)
