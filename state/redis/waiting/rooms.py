"""Waiting rooms in Redis: who waits, who is admitted, and who is next.

Each operation is one script. All keys of an event lie on one node of a cluster. The clock is
Redis' own, so that no pod's clock decides who comes first or who is gone. What is sent twice has
the effect of once.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

from state.domain.waiting.admission import (
    ADMITTED_MS,
    NOT_OPEN_PATIENCE_MS,
    PROMOTED_MAX,
    REAPED_MAX,
    SHOW_UP_MS,
    SILENT_MS,
    STALE_MS,
    STREAMED_MS,
    TURN_MAX,
    Place,
    Room,
    RoomState,
    Standing,
    may_wait,
)
from state.domain.waiting.line import Fact, Stands, Step, Turn
from state.domain.waiting.lots import LOT_BITS, NO_LOTS, NO_OPENING, Lots, Opening
from state.redis.keys import WAITING_ROOMS, promotion, waiting_room
from state.redis.scripts import Ask, Script, read_as

LOOKED_AT_MAX: Final = 100
"""Users that one script looks at."""

ANSWER_MS: Final = 600_000
"""How long the answer to a promotion is kept: twice as long as anybody may repeat one."""

KEPT_MS: Final = 7 * 86_400_000
"""How long a room is kept that nobody uses or looks after; the scripts say the same."""

OPENS_MAX_MS: Final = 14 * 86_400_000
"""How far ahead an opening by lot lies at most: records of its seed are kept for 30 days."""

RESTORED_MAX: Final = 50
"""Users that one script puts back: its time is bounded, and the server's with it."""

_UNSAID_AT_ONCE: Final = 500

_CONFIGURE: Final = Script("lasting", "waiting", "waiting_configure")
_ENTER: Final = Script("lasting", "waiting", "waiting_enter")
_LOOK: Final = Script("lasting", "waiting", "waiting_look")
_LEAVE: Final = Script("lasting", "waiting", "waiting_leave")
_PROMOTE: Final = Script("lasting", "waiting", "waiting_promote")
_LIFE: Final = Script("lasting", "waiting", "waiting_life")
_LOTS: Final = Script("lasting", "waiting", "waiting_lots")
_RESTORE: Final = Script("lasting", "waiting", "waiting_restore")
_REAP: Final = Script("lasting", "waiting", "waiting_reap")


class RoomUnreadable(Exception):
    """What lies in Redis under a room's key is none of ours: nobody is told anything of it.

    Operator action: set the room up anew; who waited comes back with the turn that was shown.
    """


class RoomUnproved(Exception):
    """The server was started again since, and may know less than users were told.

    Operator action: none; whoever promotes compares it with what was written down.
    """


class Entry(IntEnum):
    """What came of the wish to wait.

    NEW:      a turn was given out. RESTORED: the one that was shown counts again.
    WAITS, IS_ADMITTED: nothing has changed.
    NO_ROOM, CLOSED: nobody enters here, or now. FULL: no turn is left.
    NEEDS_LOT: nothing has changed; the turn by the room's lots has to be told.
    """

    NEW = 1
    WAITS = 2
    IS_ADMITTED = 3
    RESTORED = 4
    NO_ROOM = -1
    CLOSED = -2
    FULL = -3
    NEEDS_LOT = -4


class Prepared(IntEnum):
    """What came of the wish to have people stand by lot.

    DONE: commit to a seed now. WAS_DONE: it is committed to. HAS_TURNS: somebody has entered, or
    there is no room. NO_TIME: past, or too far ahead.
    """

    DONE = 1
    WAS_DONE = 2
    HAS_TURNS = 0
    NO_TIME = -1


class Entered(NamedTuple):
    """What came of the wish to wait; room: None where there is none."""

    entry: Entry
    place: Place
    room: Room | None


class Reaped(NamedTuple):
    """Who was given up: how many of those who waited, and who of those who were admitted.

    room: as it is then; None where there is none. life: of the server, where it was not proved to
    know all that was told; else empty.
    """

    waiting: int
    admitted: tuple[Turn, ...]
    room: Room | None
    life: str = ""


class WaitingRooms:
    """All rooms at one Redis, or of one cluster.

    ask: raises for itself where Redis does not answer; so does each operation here.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def configure(
        self,
        event_id: int,
        *,
        state: RoomState | None = None,
        cap: int | None = None,
        per_minute: int | None = None,
        message: str | None = None,
    ) -> Room:
        """Open a room, paused and with a cap of 0, or change one; None leaves what is."""
        told = {"state": state, "cap": cap, "per_minute": per_minute, "message": message}
        changes = [str(text) for pair in told.items() if pair[1] is not None for text in pair]
        room = _room(await _CONFIGURE.run(self._ask, waiting_room(event_id), changes))
        assert room is not None
        # Behind the room: who promotes and finds none has nothing to do.
        await self._list(event_id)
        return room

    async def enter(
        self,
        event_id: int,
        user_id: str,
        proved_turn: int = 0,
        *,
        was_deaf: bool = False,
        lots: Lots = NO_LOTS,
    ) -> Entered:
        """Wait.

        proved_turn: one that the user has certainly had; counts where Redis has lost it.
        was_deaf: signs of life were refused here since the last one: their time did not count.
        lots: those of the room, as far as the asker has them.
        Raises ValueError for a name that nobody waits under.
        """
        if not may_wait(user_id):
            raise ValueError("nobody waits under this name")
        times = (STALE_MS, NOT_OPEN_PATIENCE_MS, TURN_MAX)
        by_lot = lots.commitment, lots.turn_of(user_id), (1 << LOT_BITS) + 1
        values = (user_id, proved_turn, *times, int(was_deaf), *by_lot)
        entry, place, room = await _ENTER.run(self._ask, waiting_room(event_id), values)
        return Entered(Entry(entry), _place(place), _room(room))

    async def look(
        self,
        event_id: int,
        users: Sequence[str],
        *,
        was_deaf: bool = False,
        is_streamed: bool = False,
    ) -> tuple[Room | None, tuple[Place, ...]]:
        """Say where users stand, at most `LOOKED_AT_MAX` of them; each has given a sign of life.

        Without a room nobody stands anywhere. was_deaf: as `enter`. is_streamed: it is a pod that
        asks for who follows its streams.
        """
        assert len(users) <= LOOKED_AT_MAX
        times = (STALE_MS, NOT_OPEN_PATIENCE_MS, SILENT_MS)
        longer_ms = STREAMED_MS if is_streamed else 0
        values: list[str | int] = [*times, int(was_deaf), longer_ms, *users]
        room, places = await _LOOK.run(self._ask, waiting_room(event_id), values)
        return _room(room), tuple(map(_place, places))

    async def leave(self, event_id: int, user_id: str) -> Place:
        """Give a turn up, and return where its user stood; NONE with the turn that was."""
        standing, turn = await _LEAVE.run(self._ask, waiting_room(event_id), (user_id,))
        return Place(Standing(standing), int(turn))

    async def promote(
        self, event_id: int, promotion_id: str, slots: int, most: int = -1
    ) -> tuple[Turn, ...]:
        """Admit those who are next, and return them in the order of their turns.

        promotion_id: the same again gets the same answer, and admits nobody else.
        Raises RoomUnproved where the server may have an old file; `restore` proves it.
        slots: most that are promoted. most: that may be admitted at once, beside the room's own
        cap; below 0 for no such bound.
        """
        keys = (*waiting_room(event_id), promotion(event_id, promotion_id))
        bounded = min(slots, PROMOTED_MAX)
        values = (promotion_id, bounded, most, SHOW_UP_MS, ADMITTED_MS, ANSWER_MS)
        count, *promoted = await _PROMOTE.run(self._ask, keys, values)
        if int(count) < 0:
            raise RoomUnproved(f"event {event_id}")
        turns = _turns(promoted)
        assert len(turns) == int(count)
        return turns

    async def reap(self, event_id: int) -> Reaped:
        """Give up those of whom nothing was heard for too long, by the room's own clock.

        The clock goes on by three seconds at most from one call to the next, and only while signs
        of life arrive: what could not be heard is nobody's silence. Without a room nobody is
        given up.
        """
        values = (REAPED_MAX, STALE_MS, NOT_OPEN_PATIENCE_MS)
        gone, over, room, life = await _REAP.run(self._ask, waiting_room(event_id), values)
        return Reaped(gone, _turns(over), _room(room), life.decode())

    async def life(self, event_id: int) -> str:
        """Return which start of which server has a room."""
        told: bytes = await _LIFE.run(self._ask, waiting_room(event_id), ())
        return told.decode()

    async def unsaid(self, event_id: int) -> AsyncIterator[tuple[Fact, ...]]:
        """Yield what nobody has written down yet, some hundreds at a time."""
        name, cursor = waiting_room(event_id)[-1], b"0"
        while True:
            cursor, page = await self._ask("HSCAN", name, cursor, "COUNT", _UNSAID_AT_ONCE)
            # A client makes a table of it, a plain connection hands the list over.
            is_table = isinstance(page, dict)
            steps = page if is_table else dict(zip(page[::2], page[1::2], strict=True))
            with read_as(RoomUnreadable):
                yield tuple(_fact(*pair) for pair in steps.items())
            if int(cursor) == 0:
                return

    async def said(self, event_id: int, facts: Sequence[Fact]) -> None:
        """Forget that something was to be written down: it is, and true for ever."""
        fields = [f"{fact.step:d}:{fact.turn}:{fact.user_id}" for fact in facts]
        if fields:
            await self._ask("HDEL", waiting_room(event_id)[-1], *fields)

    async def prepare_lots(self, event_id: int, opens_ms: int) -> tuple[Prepared, Room | None]:
        """Have nobody enter until `commit_lots`; who enters before the opening stands by lot."""
        done, room = await self._lots(event_id, "prepare", opens_ms, OPENS_MAX_MS)
        return Prepared(done), room

    async def commit_lots(self, event_id: int, lots: Lots) -> bool:
        """Have people stand by these lots, which everybody can hold us to; say whether they do."""
        return (await self._lots(event_id, "commit", lots.opens_ms, lots.commitment))[0] > 0

    async def draw_lots(self, event_id: int) -> Room | None:
        """Give out no more lots, once it is time; return the room where it is, else None."""
        done, room = await self._lots(event_id, "draw")
        return room if done > 0 else None

    async def show_lots(self, event_id: int) -> None:
        """Let everybody be told the place; to be called once the seed can be read by all."""
        await self._lots(event_id, "show")

    async def _lots(self, event_id: int, *values: str | int) -> tuple[int, Room | None]:
        done, room = await _LOTS.run(self._ask, waiting_room(event_id), values)
        return done, _room(room)

    async def restore(
        self,
        event_id: int,
        line: Sequence[Stands],
        *,
        is_last: bool = True,
        opening: Opening = NO_OPENING,
        life: str = "",
    ) -> int:
        """Put back where users stand, at most `RESTORED_MAX`, and return how many were put there.

        A room that is not there is made, closed, once the last of them are put back. Who is known
        to have gone as far or further stays so; who stands further back, in a Redis with an old
        file, is moved on to where they were told to be. opening: what was told of lots here.
        life: of the server, where all that was told has been read since; people are let in then.
        """
        assert len(line) <= RESTORED_MAX
        told = opening.opens_ms, opening.commitment, int(bool(opening.seed)), life
        values: list[str | int] = [NOT_OPEN_PATIENCE_MS, SHOW_UP_MS, int(is_last), *told]
        for stands in line:
            values += [int(stands.step), stands.user_id, stands.turn, stands.last_ms]
        put: int = await _RESTORE.run(self._ask, waiting_room(event_id), values)
        await self._list(event_id)
        return put

    async def restore_all(
        self,
        event_id: int,
        line: Sequence[Stands],
        opening: Opening = NO_OPENING,
        life: str = "",
        put_back: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Put back where everybody stands, as `restore`; put_back is told how many are done."""
        put = 0
        # One script at least: a line of nobody has a room, too.
        for first in range(0, len(line) or 1, RESTORED_MAX):
            part = line[first : first + RESTORED_MAX]
            is_last = first + RESTORED_MAX >= len(line)
            put += await self.restore(event_id, part, is_last=is_last, opening=opening, life=life)
            put_back(first + len(part))
        return put

    async def forget(self, event_id: int) -> None:
        """Take an event out of those that have a room, unless it has one."""
        await self._ask("SREM", WAITING_ROOMS, event_id)
        # It may have been set up anew this very moment.
        if await self._ask("EXISTS", waiting_room(event_id)[0]):
            await self._list(event_id)

    async def _list(self, event_id: int) -> None:
        await self._ask("SADD", WAITING_ROOMS, event_id)
        await self._ask("PEXPIRE", WAITING_ROOMS, KEPT_MS)

    async def events(self) -> tuple[int, ...]:
        """Return the ids of all events that have a room, found by SSCAN."""
        found: set[int] = set()
        await self._ask("PEXPIRE", WAITING_ROOMS, KEPT_MS)
        cursor = b"0"
        while True:
            cursor, page = await self._ask("SSCAN", WAITING_ROOMS, cursor, "COUNT", 1_000)
            # What is no number somebody else has put there.
            found.update(int(event_id) for event_id in page if event_id.isdigit())
            if int(cursor) == 0:
                return tuple(sorted(found))


def _room(told: Sequence[Any]) -> Room | None:
    if not told:
        return None
    with read_as(RoomUnreadable):
        return _read(told)


def _read(told: Sequence[Any]) -> Room:
    (
        state,
        cap,
        per_minute,
        message,
        waiting,
        admitted,
        *counts,
        commitment,
        shown,
        pace,
        now_ms,
    ) = told
    joined, left, expired, done, limit, opens = (int(count or 0) for count in counts)
    return Room(
        RoomState(state.decode()),
        int(cap),
        int(per_minute),
        message.decode(),
        waiting,
        admitted,
        joined,
        left,
        expired,
        done,
        limit,
        float(pace),
        int(now_ms),
        opens,
        commitment.decode(),
        shown == b"1",
    )


def _place(told: Sequence[Any]) -> Place:
    with read_as(RoomUnreadable):
        standing, turn, rank, ends_ms, last_ms, unsaid = map(int, told)
        return Place(Standing(standing), turn, rank, ends_ms, last_ms, bool(unsaid))


def _fact(field: bytes, last_ms: bytes) -> Fact:
    step, turn, user = field.split(b":", 2)
    return Fact(user.decode(), int(turn), Step(int(step)), int(last_ms))


def _turns(told: Sequence[bytes]) -> tuple[Turn, ...]:
    pairs = zip(told[::2], told[1::2], strict=True)
    with read_as(RoomUnreadable):
        return tuple(Turn(user.decode(), int(turn)) for user, turn in pairs)
