"""The line of one event, as the records of a log have left it, and what each of them does.

Whoever folds the same records comes to the same line. There is no clock: `now_ms` is the time at
which the log took the record in, and time that no record tells moves nothing. What becomes of an
item follows from the records that name it, from those that look after all, and their times.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Container, Iterator
from hashlib import sha256
from heapq import heappop, heappush
from typing import Final, NamedTuple

from state.domain.booking_queue.figures import (
    CLEANED_AT_ONCE,
    DEAD_MS,
    ITEM_MS,
    KEPT_MS,
    LEASE_MS,
    LENGTH_MAX,
    pause_ms,
)
from state.domain.booking_queue.items import Item
from state.domain.booking_queue.queue import NotTaken, Settled, Standing, Waits
from state.domain.booking_queue.statuses import OVER, TRANSITIONS, DeadReason, ItemStatus, Move

Times = list[tuple[int, str]]
"""A heap of (Unix ms, item): when each has to be looked at. One that stands otherwise by then has
left an entry that means nothing."""

ENQUEUED: Final = "enqueued"
RETRIED: Final = "retried"


class Asked(NamedTuple):
    """What a record puts into the line; round: how often an operator had it tried anew.

    ids: by which the request is followed.
    """

    user_id: str
    request: bytes
    round: int = 0
    ids: bytes = b""


class Ended(NamedTuple):
    """How an attempt has ended: with an outcome, or for a reason; is_final: no other one helps."""

    outcome: bytes | None
    reason: str
    is_final: bool


class Moved(NamedTuple):
    """What time alone moved: how many are given back, how many died, how many expired.

    over: those that died or expired.
    """

    given_back: int = 0
    died: int = 0
    lapsed: int = 0
    over: tuple[str, ...] = ()


NOTHING_MOVED: Final = Moved()


class Kept(NamedTuple):
    """An item as the line keeps it; see `Item` for what both have.

    digest:   of the request, which is not kept once the item is over.
    number:   its place; a later one has a higher number.
    until_ms: of one that a worker has: when its lease ends; of one that waits: when its next
              attempt is due, 0 where it stands in the line; of one that is over: when it is
              forgotten.
    token:    of the worker that has it, else empty. last: the one that moved it last.
    """

    user_id: str
    request: bytes
    digest: bytes
    number: int
    round: int
    enqueued_ms: int
    expires_ms: int
    ids: bytes = b""
    status: ItemStatus = ItemStatus.WAITING
    attempts: int = 0
    until_ms: int = 0
    token: str = ""
    last: str = ""
    outcome: bytes = b""
    reason: str = ""


def _has_lease(item: Kept, ms: int) -> bool:
    return item.status is ItemStatus.PROCESSING and item.until_ms == ms


def _pauses(item: Kept, ms: int) -> bool:
    return item.status is ItemStatus.WAITING and item.until_ms == ms


def _may_lapse(item: Kept, ms: int) -> bool:
    # One that a worker has is looked at again when it comes back.
    return item.status is ItemStatus.WAITING and item.expires_ms == ms


def _is_kept(item: Kept, ms: int) -> bool:
    return item.status in OVER and item.until_ms == ms


class EventLine:
    """Items of one event.

    gone: to which the line adds when an item is to be forgotten, see `forget`.
    length_max: items that are not over.
    """

    def __init__(self, event_id: int, gone: Times, *, length_max: int = LENGTH_MAX) -> None:
        self.event_id = event_id
        self._items: dict[str, Kept] = {}
        # Numbers of those that stand in the line, ascending, and whose each is.
        self._line: list[int] = []
        self._by_number: dict[int, str] = {}
        self._leases: Times = []
        self._later: Times = []
        self._timeouts: Times = []
        self._gone = gone
        self._dead: dict[str, None] = {}
        self._counts: Counter[str] = Counter()
        self._pausing = self._taken = 0
        self._length_max = length_max

    # --- what records do -------------------------------------------------------------------

    def enqueue(self, item_id: str, asked: Asked, number: int, now_ms: int) -> bool | NotTaken:
        """Put a request at the end of the line; say whether it is new.

        number: of the record, higher than that of any before.
        """
        digest = sha256(asked.request).digest()
        known = self._known(item_id, now_ms)
        if known is not None:
            return False if known.digest == digest else NotTaken.OTHER
        if self.length >= self._length_max:
            return NotTaken.FULL
        self._counts[ENQUEUED] += 1
        self._begin(item_id, asked, number, now_ms)
        return True

    def take(self, item_id: str, token: str, now_ms: int) -> bool:
        """Give an item of the line to a worker; say whether the worker has it."""
        item = self._items.get(item_id)
        if item is None or item.status is not ItemStatus.WAITING or item.until_ms:
            # The same record again finds what the first one did.
            return item is not None and item.token == token
        if item.expires_ms <= now_ms:
            self._end(item_id, item, Move.LAPSED, now_ms)
            return False
        self._leave(item)
        until_ms = now_ms + LEASE_MS
        self._taken += 1
        self._items[item_id] = item._replace(
            status=_after(item, Move.TAKEN),
            attempts=item.attempts + 1,
            token=token,
            until_ms=until_ms,
        )
        heappush(self._leases, (until_ms, item_id))
        return True

    def settle(self, item_id: str, token: str, ended: Ended, now_ms: int) -> Settled:
        """Record how an attempt has ended.

        The lease may be over, as long as nobody has looked after the line since.
        """
        item = self._items.get(item_id)
        if item is None:
            return Settled(is_recorded=False, status=None)
        if item.token != token:
            return Settled(is_recorded=item.last == token, status=item.status)
        item = item._replace(last=token)
        pause = None if ended.is_final else pause_ms(item.attempts)
        if ended.outcome is not None:
            self._end(item_id, item._replace(outcome=ended.outcome), Move.RECORDED, now_ms)
        elif pause is None:
            # Where no attempt is left, it is dead of that.
            died = ended.reason if ended.is_final else DeadReason.MAX_RETRIES_EXCEEDED
            self._end(item_id, item._replace(reason=died), Move.FAILED, now_ms)
        else:
            self._counts[RETRIED] += 1
            self._pause(item_id, item, now_ms + pause)
        return Settled(is_recorded=True, status=self._items[item_id].status)

    def cancel(self, item_id: str, user_id: str, now_ms: int) -> bool:
        """Take an item back if it waits; say whether this user has such an item."""
        item = self._known(item_id, now_ms)
        if item is None or item.user_id != user_id:
            return False
        if item.status is ItemStatus.WAITING:
            self._end(item_id, item, Move.WITHDRAWN, now_ms)
        return True

    def clean(self, now_ms: int) -> Moved:
        """Move what time alone moves, at most `CLEANED_AT_ONCE` of each kind."""
        back = 0
        died, lapsed = list[str](), list[str]()
        for item_id, item in self._due(self._leases, now_ms, _has_lease):
            if pause_ms(item.attempts) is None:
                late = item._replace(reason=DeadReason.TIMEOUT)
                self._end(item_id, late, Move.FAILED, now_ms)
                died.append(item_id)
            else:
                self._leave(item)
                self._stand(item_id, item._replace(status=_after(item, Move.GIVEN_BACK)))
                back += 1
        for item_id, item in self._due(self._later, now_ms, _pauses):
            self._leave(item)
            self._stand(item_id, item)
        for item_id, item in self._due(self._timeouts, now_ms, _may_lapse):
            self._end(item_id, item, Move.LAPSED, now_ms)
            lapsed.append(item_id)
        return Moved(back, len(died), len(lapsed), (*died, *lapsed))

    def requeue(self, item_id: str, asked: Asked, number: int, now_ms: int) -> bool:
        """Have a dead item tried anew at the end of the line; say whether it is.

        The record tells the item whole: it may be older than what the log still has.
        """
        item = self._known(item_id, now_ms)
        if item is not None:
            # Of two operators the second one's word is late: its round, and its key, were used.
            if item.status is not ItemStatus.DEAD or asked.round <= item.round:
                return False
            del self._dead[item_id]
        self._begin(item_id, asked, number, now_ms)
        return True

    def remove(self, item_id: str) -> bool:
        """Forget a dead item; say whether there was one."""
        item = self._items.get(item_id)
        if item is None or item.status is not ItemStatus.DEAD:
            return False
        self._drop(item_id)
        return True

    def forget(self, item_id: str, ms: int) -> None:
        """Forget an item that is over, if this is still the time for it."""
        item = self._items.get(item_id)
        if item is not None and _is_kept(item, ms):
            self._drop(item_id)

    # --- what is asked ---------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is known of any item."""
        return not self._items

    @property
    def length(self) -> int:
        """Return how many items are not over."""
        return len(self._line) + self._pausing + self._taken

    def first(self, named: Container[str] = ()) -> str | None:
        """Return the first of the line that is not among those that are named already."""
        items = (self._by_number[number] for number in self._line)
        return next((item_id for item_id in items if item_id not in named), None)

    def is_due(self, now_ms: int) -> bool:
        """Say whether `clean` has something to move by then."""
        nexts = (
            self._first_ms(self._leases, _has_lease),
            self._first_ms(self._later, _pauses),
            self._first_ms(self._timeouts, _may_lapse),
        )
        return any(0 < ms <= now_ms for ms in nexts)

    def look(self, item_id: str) -> Item | None:
        """Return an item as it stands."""
        item = self._items.get(item_id)
        if item is None:
            return None
        waits = item.status is ItemStatus.WAITING
        return Item(
            id=item_id,
            event_id=self.event_id,
            user_id=item.user_id,
            status=item.status,
            position=bisect_left(self._line, item.number) + 1 if waits else 0,
            attempts=item.attempts,
            round=item.round,
            enqueued_ms=item.enqueued_ms,
            expires_ms=item.expires_ms,
            request=item.request,
            outcome=item.outcome,
            reason=item.reason,
            ids=item.ids,
        )

    def waiting(self, first: int, most: int) -> tuple[Waits, ...]:
        """Return who stands in the line, in their order; first: of them, from 0."""
        told = []
        for position, number in enumerate(self._line[first : first + most], first + 1):
            item_id = self._by_number[number]
            item = self._items[item_id]
            told.append(
                Waits(item_id, item.user_id, position, item.attempts, item.round, item.ids)
            )
        return tuple(told)

    def dead(self, most: int) -> tuple[str, ...]:
        """Return those that wait for an operator, the longest dead first."""
        return tuple(self._dead)[:most]

    def standing(self, now_ms: int, moved: Moved = NOTHING_MOVED) -> Standing:
        """Say how the queue stands; moved: as `clean` returned it."""
        first, count = self.first(), self._counts
        age_ms = 0 if first is None else max(0, now_ms - self._items[first].enqueued_ms)
        return Standing(
            *moved[:3],
            waiting=len(self._line),
            later=self._pausing,
            taken=self._taken,
            dead=len(self._dead),
            enqueued=count[ENQUEUED],
            completed=count[ItemStatus.COMPLETED],
            expired=count[ItemStatus.EXPIRED],
            cancelled=count[ItemStatus.CANCELLED],
            died_ever=count[ItemStatus.DEAD],
            retried=count[RETRIED],
            oldest_ms=age_ms,
        )

    # --- how ------------------------------------------------------------------------------

    def _known(self, item_id: str, now_ms: int) -> Kept | None:
        """Return an item that is not over for too long, whether or not it is forgotten yet."""
        item = self._items.get(item_id)
        if item is not None and item.status in OVER and item.until_ms <= now_ms:
            self._drop(item_id)
            return None
        return item

    def _drop(self, item_id: str) -> None:
        del self._items[item_id]
        self._dead.pop(item_id, None)

    def _begin(self, item_id: str, asked: Asked, number: int, now_ms: int) -> None:
        user_id, request, round_, ids = asked
        digest = sha256(request).digest()
        item = Kept(user_id, request, digest, number, round_, now_ms, now_ms + ITEM_MS, ids)
        self._stand(item_id, item)

    def _stand(self, item_id: str, item: Kept) -> None:
        """Put an item into the line, at its place."""
        self._items[item_id] = item._replace(until_ms=0, token="")
        self._line.insert(bisect_left(self._line, item.number), item.number)
        self._by_number[item.number] = item_id
        heappush(self._timeouts, (item.expires_ms, item_id))

    def _pause(self, item_id: str, item: Kept, until_ms: int) -> None:
        self._leave(item)
        self._pausing += 1
        self._items[item_id] = item._replace(
            status=_after(item, Move.RETRIED), until_ms=until_ms, token=""
        )
        heappush(self._later, (until_ms, item_id))
        heappush(self._timeouts, (item.expires_ms, item_id))

    def _end(self, item_id: str, item: Kept, move: Move, now_ms: int) -> None:
        self._leave(item)
        status = _after(item, move)
        is_dead = status is ItemStatus.DEAD
        until_ms = now_ms + (DEAD_MS if is_dead else KEPT_MS)
        request = item.request if is_dead else b""
        self._items[item_id] = item._replace(
            status=status, until_ms=until_ms, request=request, token=""
        )
        self._counts[status] += 1
        if is_dead:
            self._dead[item_id] = None
        heappush(self._gone, (until_ms, item_id))

    def _leave(self, item: Kept) -> None:
        """Take an item out of wherever it waits or is worked on."""
        if item.status is ItemStatus.PROCESSING:
            self._taken -= 1
        elif item.until_ms:
            self._pausing -= 1
        else:
            del self._line[bisect_left(self._line, item.number)]
            del self._by_number[item.number]

    def _due(
        self, times: Times, now_ms: int, is_meant: Callable[[Kept, int], bool]
    ) -> Iterator[tuple[str, Kept]]:
        for _ in range(CLEANED_AT_ONCE):
            if not 0 < self._first_ms(times, is_meant) <= now_ms:
                return
            _, item_id = heappop(times)
            yield item_id, self._items[item_id]

    def _first_ms(self, times: Times, is_meant: Callable[[Kept, int], bool]) -> int:
        """Return the first time of a heap that means something, 0 for none; drop those before."""
        while times:
            ms, item_id = times[0]
            item = self._items.get(item_id)
            if item is not None and is_meant(item, ms):
                return ms
            heappop(times)
        return 0


def _after(item: Kept, move: Move) -> ItemStatus:
    return TRANSITIONS[item.status][move]
