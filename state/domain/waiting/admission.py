"""Who may leave a waiting room, how many at once, and how often those who wait ask.

A turn is the number by which somebody waits: lower comes first, none is given out twice, and no
clock is part of the order. Who is promoted is admitted for a time: first until they should have
shown up, then from one sign of life to the next, and never for longer than an hour in all.
"""

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

TURN_MAX: Final = 2**52 - 1
"""Redis scores are doubles: above 2^53 two turns would be one."""

TURNS_PER_S: Final = 1 << 20
"""A turn is one more than the last, and not below the second that it is, times this: so what a
Redis gave out whose last second was lost comes before all that is given out after it."""

USER_BYTES_MAX: Final = 64

SHOW_UP_MS: Final = 60_000
"""Who was promoted and shows no sign of life for so long makes room for the next."""

SILENT_MS: Final = 120_000
"""Who is admitted and was heard of once is kept so long after each sign of life."""

ADMITTED_MS: Final = 3_600_000
"""Nobody is admitted for longer, however lively."""

STALE_MS: Final = 30_000
MISSED_POLLS: Final = 3
"""Who waits is given up after so long without a question, but not before so many are missed."""

PROMOTED_MAX: Final = 100
"""Promoted by one script: its time is bounded, and the server's with it."""

REAPED_MAX: Final = 250
"""Given up by one script, of each kind: its time is bounded, too."""

_POLL_ADMITTED_MS: Final = 1_000
_POLL_MS: Final = 5_000
_POLL_NOT_OPEN_MS: Final = 30_000
_POLL_FULL_MS: Final = 8_000
_NEAR_RANK: Final = 100
_POLL_LONG_LINE_MS: Final = ((5_000, 10_000), (1_000, 7_000))
"""Waiting from, and how often somebody asks then who is not near the front."""

NOT_OPEN_PATIENCE_MS: Final = MISSED_POLLS * _POLL_NOT_OPEN_MS

STREAMED_MS: Final = 90_000
"""Who follows a stream is given up after so long: the pod may stand still, and not the user."""

_SLOWEST_PER_S: Final = 1 / 3_600
"""Slower than one an hour nothing is promised: the estimate would be a number without meaning."""


class RoomState(StrEnum):
    """What an operator has made of a room.

    OPEN:   people enter and are promoted.
    PAUSED: they enter, and nobody is promoted.
    CLOSED: nobody enters and nobody is promoted; who waits keeps the turn.
    """

    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class Standing(IntEnum):
    """Where somebody is."""

    NONE = 0
    WAITING = 1
    ADMITTED = 2


class Room(NamedTuple):
    """A room at a moment.

    cap:      most that are admitted at once. per_minute: most that are promoted, 0 for no limit.
    waiting, admitted: how many there are.
    left, expired, done: turns that ended: given up while waiting; by time; given back by who was
              admitted. joined: all turns there were, those restored counted again.
    limit:    how many may be admitted now: the cap, or fewer where fewer seats can be bought; -1
              before the first promotion.
    pace:     promotions per second, over the last minute or so.
    now_ms:   Redis' clock, Unix ms.
    opens_ms: Unix ms before which who enters stands by lot; 0 for a room without lots.
    commitment: digest of the seed of the lots, in hex; empty where there is none yet.
    is_shown: the seed was told, and so is the place of everybody.
    """

    state: RoomState
    cap: int
    per_minute: int
    message: str
    waiting: int
    admitted: int
    joined: int
    left: int
    expired: int
    done: int
    limit: int
    pace: float
    now_ms: int
    opens_ms: int = 0
    commitment: str = ""
    is_shown: bool = False

    @property
    def is_pre_queue(self) -> bool:
        """Say whether nobody is told a place yet, for it is by lot."""
        return self.opens_ms > 0 and not self.is_shown

    @property
    def is_open(self) -> bool:
        return self.state is RoomState.OPEN and not self.is_pre_queue

    @property
    def is_sold_out(self) -> bool:
        """Say whether nothing can be bought any more, as far as the last promotion knew."""
        return self.limit == 0 < self.cap

    @property
    def slots(self) -> int:
        """Return how many more may be admitted; a cap that was lowered throws nobody out."""
        limit = self.cap if self.limit < 0 else min(self.cap, self.limit)
        return max(0, limit - self.admitted)


class Place(NamedTuple):
    """Where somebody stands in a room.

    turn:    0 where Redis knows of none.
    rank:    how many come before, of those who wait.
    ends_ms: of who is admitted: Unix ms at which that ends without a further sign of life.
    last_ms: of who is admitted: Unix ms at which it ends at the latest.
    is_unsaid: nobody has written down yet that it is so; no user is told of it before.
    """

    standing: Standing
    turn: int = 0
    rank: int = 0
    ends_ms: int = 0
    last_ms: int = 0
    is_unsaid: bool = False


NOWHERE: Final = Place(Standing.NONE)


def may_wait(user_id: str) -> bool:
    """Say whether a name may stand in a room: 1 to 64 bytes of printable UTF-8."""
    try:
        length = len(user_id.encode())
    except UnicodeEncodeError:
        return False
    return 1 <= length <= USER_BYTES_MAX and user_id.isprintable()


def poll_after_ms(place: Place, room: Room) -> int:
    """Return how long somebody waits before asking again."""
    if place.standing is Standing.ADMITTED:
        return _POLL_ADMITTED_MS
    if not room.is_open:
        return _POLL_NOT_OPEN_MS
    pause_ms = _POLL_MS
    if place.rank > _NEAR_RANK:
        long = (pause for waiting, pause in _POLL_LONG_LINE_MS if room.waiting >= waiting)
        pause_ms = next(long, _POLL_MS)
    return max(pause_ms, _POLL_FULL_MS) if room.slots == 0 else pause_ms


def expected_wait_ms(place: Place, room: Room) -> int | None:
    """Return an estimate of how long somebody will wait; None where nothing can be said."""
    if place.standing is not Standing.WAITING or room.pace < _SLOWEST_PER_S or not room.is_open:
        return None
    return int(1000 * (place.rank + 1) / room.pace)


def buyable(free: int, held: int, returned_percent: int) -> int:
    """Return the seats that somebody who is let in now may hope for.

    free, held: of all sections. returned_percent: of the holds, how many are expected back.
    While anything is held at all, something may come back: the line ends when all is sold.
    """
    if held <= 0:
        return max(0, free)
    return max(0, free) + max(1 if free <= 0 else 0, held * returned_percent // 100)
