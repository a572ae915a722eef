"""Waiting rooms as requests have them: refusals are problems, and a Redis that fails loses nobody.

Who holds a proof of a turn keeps the place through anything that Redis does. So where Redis does
not answer, everybody is told to hold the position, and nobody is let in or sent away by it.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from redis.exceptions import ResponseError

from api.access.identity import unauthenticated
from api.admission.lots import NoSeed, RoomLots
from api.admission.passes import QUEUE, NotProved, Passes
from api.admission.promoter import Promoter
from api.admission.turns import TurnLog
from api.parts.appended import Appended
from api.parts.part import Part
from api.web.metrics import ApiMetrics
from api.web.problems import Problem, ToldAs, retry_after, told_as
from infra.process.metrics import Reading
from state.domain.reasons import ApiReason
from state.domain.waiting.admission import (
    STALE_MS,
    Place,
    Room,
    RoomState,
    Standing,
    poll_after_ms,
)
from state.domain.waiting.line import Fact, Stands, Step
from state.domain.waiting.lots import is_by_lot, undrawn_turn
from state.kafka.command_log import AppendUnknown, NotAppended
from state.redis.keys import waits_in
from state.redis.line import NoAnswer, RedisLine, TooManyAsk
from state.redis.waiting.rooms import Entered, Entry, Prepared, RoomUnreadable, WaitingRooms

ENTERED_MAX: Final = 3
"""Tries to enter a room whose lots are not known yet."""

DEAF_MAX: Final = 10_000
"""Events of which a pod remembers that signs of life were refused: names are free to ask for."""

_UNREACHABLE: Final = (
    ApiReason.ROOM_UNREACHABLE,
    "Hold the position: every place is kept. Come back after Retry-After with the queue token.",
)
_TOLD: Final[ToldAs] = {
    TooManyAsk: (ApiReason.OVERLOADED, "Too many ask; come back after Retry-After."),
    NoAnswer: _UNREACHABLE,
    ResponseError: _UNREACHABLE,
    RoomUnreadable: _UNREACHABLE,
    # Told is what is written down, and nothing else.
    NotAppended: _UNREACHABLE,
    AppendUnknown: _UNREACHABLE,
    NoSeed: _UNREACHABLE,
}
_STEPS: Final = {
    Standing.NONE: Step.ENDED,
    Standing.WAITING: Step.GIVEN,
    Standing.ADMITTED: Step.ADMITTED,
}
_REFUSED: Final = {
    Entry.CLOSED: (ApiReason.ROOM_CLOSED, "Nobody enters now; ask later."),
    Entry.FULL: (ApiReason.ROOM_FULL, "No turn is left; tell whoever runs this sale."),
}


_NO_LOTS: Final = {
    Prepared.HAS_TURNS: "Somebody has entered, or another opening was set at this moment.",
    Prepared.NO_TIME: "Name a time that is to come, within the next two weeks.",
}


class Stand(NamedTuple):
    """Where a user stands in a room, and what was made of a wish to enter."""

    room: Room
    place: Place
    entry: Entry | None = None

    @property
    def poll_after_ms(self) -> int:
        return poll_after_ms(self.place, self.room)

    @property
    def is_undrawn(self) -> bool:
        """Say whether the user waits, and nobody may know the place yet."""
        return self.place.standing is Standing.WAITING and self.room.is_pre_queue

    @property
    def state(self) -> str:
        return "PRE_QUEUE" if self.is_undrawn else self.place.standing.name

    @property
    def proved_turn(self) -> int:
        """Return the turn that a queue token is given for."""
        place, opens_ms = self.place, self.room.opens_ms
        is_secret = self.is_undrawn and is_by_lot(place.turn, opens_ms)
        return undrawn_turn(opens_ms) if is_secret else place.turn


class WaitingDesk(Part):
    """The waiting rooms of a pod; asks nothing before the first question, but for its promoter.

    url:    of Redis; empty for none. passes: None for a pod without keys to sign with. Without
            either there are no waiting rooms here.
    promoter: lets in who waits, from the start of the pod to its end.
    rooms:  what asks Redis. unchecked: entries that were let through by their proof alone.
    is_demanded: says whether an event has to have a room.
    turns: where it is written down what users are told of; None for nowhere.
    """

    name = "waiting"
    is_optional = True

    def __init__(
        self,
        url: str,
        passes: Passes | None,
        promoter: Promoter | None = None,
        turns: TurnLog | None = None,
    ) -> None:
        self.passes = passes
        self.promoter = promoter
        self.turns = turns
        self._log = None if turns is None else Appended("turns", turns.log)
        self._line = RedisLine(url, "without it everybody keeps their places") if url else None
        self.rooms = WaitingRooms(self._ask)
        self.lots = RoomLots(() if passes is None else passes.private, turns)
        self.unchecked = 0
        self._deaf_to: set[int] = set()
        self.is_demanded: Callable[[int], bool] = lambda _: False

    async def start(self) -> None:
        if self._log is not None:
            await self._log.start()
        if self.promoter is not None:
            await self.promoter.start()

    async def close(self) -> None:
        if self.promoter is not None:
            await self.promoter.close()
        if self._log is not None:
            await self._log.close()
        if self._line is not None:
            await self._line.close()

    def readiness(self) -> Mapping[str, bool]:
        return {} if self._log is None else self._log.readiness()

    def troubles(self) -> Mapping[str, str]:
        told = {} if self._log is None else dict(self._log.troubles())
        if self.promoter is not None:
            told["waiting rooms"] = self.promoter.trouble
        return told

    def readings(self) -> Iterator[Reading]:
        yield ApiMetrics.admissions_unchecked, self.unchecked
        if self._log is not None:
            yield from self._log.readings()
        if self.promoter is not None:
            yield from self.promoter.readings()

    async def enter(self, event_id: int, user_id: str, queue_token: str | None) -> Stand:
        """Wait, at the turn that a token proves or at the end; raises Problem."""
        proved = 0
        with self._told(event_id):
            if queue_token is not None:
                proved = self._turn_in(queue_token, event_id, user_id)
            is_claimed = await self._claim(event_id, user_id)
            with self._hearing(event_id) as was_deaf:
                entered = await self._enter(event_id, user_id, proved, was_deaf=was_deaf)
            if entered.entry < 0 and is_claimed:
                await self._ask("DEL", waits_in(user_id))
            await self._say(event_id, (user_id,), (entered.place,))
        if entered.room is None:
            raise self._absent(event_id)
        if entered.entry in _REFUSED:
            headers = (retry_after(poll_after_ms(entered.place, entered.room)),)
            raise Problem.of(*_REFUSED[entered.entry], headers=headers)
        return Stand(entered.room, entered.place, entered.entry)

    async def _enter(self, event_id: int, user_id: str, proved: int, *, was_deaf: bool) -> Entered:
        """Enter, by the lots that the room has; raises as `WaitingRooms.enter`, and NoSeed."""
        lots = self.lots.known(event_id)
        # Once more where this pod did not know them, or the opening was changed meanwhile.
        for _ in range(ENTERED_MAX):
            entered = await self.rooms.enter(
                event_id, user_id, proved, was_deaf=was_deaf, lots=lots
            )
            if entered.entry is not Entry.NEEDS_LOT or entered.room is None:
                return entered
            lots = self.lots.learn(event_id, entered.room)
        raise NoSeed(f"event {event_id}: its lots change all the time")

    async def look(self, event_id: int, user_id: str) -> Stand:
        """Return where a user stands; to ask is a sign of life. Raises Problem."""
        with self._told(event_id):
            (room, (place,)), _ = await asyncio.gather(
                self._look(event_id, (user_id,)),
                self._ask("PEXPIRE", waits_in(user_id), STALE_MS),
            )
            await self._say(event_id, (user_id,), (place,))
        if room is None:
            raise self._absent(event_id)
        return Stand(room, place)

    async def look_all(
        self, event_id: int, users: Sequence[str], *, is_streamed: bool = False
    ) -> tuple[Room | None, tuple[Place, ...]]:
        """Return where users stand, all at once; raises Problem.

        is_streamed: they follow streams of this pod.
        """
        with self._told(event_id):
            room, places = await self._look(event_id, users, is_streamed=is_streamed)
            await self._say(event_id, users, places)
        return room, places

    async def lots_of(self, event_id: int) -> tuple[Room, str | None]:
        """Return a room and the seed of its lots, in hex, once that was told; raises Problem."""
        room, _ = await self.look_all(event_id, ())
        if room is None:
            raise self._absent(event_id)
        if not room.is_shown:
            return room, None
        with self._told(event_id):
            return room, self.lots.learn(event_id, room).seed.hex()

    async def keep_waiting(self, users: Iterable[str]) -> None:
        """Have users who follow streams go on to wait for their one event; not certain."""
        keeping = (self._ask("PEXPIRE", waits_in(user), STALE_MS) for user in users)
        # A claim that was not extended is extended by the next call, or made anew by entering.
        await asyncio.gather(*keeping, return_exceptions=True)

    async def leave(self, event_id: int, user_id: str) -> Place:
        """Give a turn up, and return where the user stood; raises Problem."""
        with self._told(event_id):
            place = await self.rooms.leave(event_id, user_id)
            if self.turns is not None and place.standing is not Standing.NONE:
                over = Fact(user_id, place.turn, Step.ENDED)
                await self.turns.say(self.rooms, event_id, (over,))
            if await self._ask("GET", waits_in(user_id)) == b"%d" % event_id:
                await self._ask("DEL", waits_in(user_id))
        return place

    async def configure(
        self,
        event_id: int,
        state: RoomState | None,
        cap: int | None,
        per_minute: int | None,
        message: str | None,
        opens_ms: int | None = None,
    ) -> Room:
        """Set a room up, or change it; raises Problem.

        opens_ms: who enters before stands by lot; only of a room that nobody has entered.
        """
        if self.passes is None:
            raise no_room()
        with told_as(_TOLD):
            if opens_ms is not None:
                # Set up before it is asked for anything else: what is refused changes nothing.
                await self.rooms.configure(event_id)
                prepared = await self.lots.commit(self.rooms, event_id, opens_ms)
                if prepared in _NO_LOTS:
                    raise Problem.of(ApiReason.NO_LOTS, _NO_LOTS[prepared])
            return await self.rooms.configure(
                event_id, state=state, cap=cap, per_minute=per_minute, message=message
            )

    async def check_admitted(self, event_id: int, user_id: str, entry_token: str | None) -> None:
        """Raise Problem unless a user was let in: 403, or 401 for a token that proves nothing.

        The proof alone counts where Redis does not answer: whoever has one was let in. Where Redis
        has lost that, as in a failover, it is told so again.
        """
        if self.passes is None:
            raise Problem.of(ApiReason.ROOM_UNREACHABLE, "This pod has no keys; ask another.")
        if entry_token is None:
            raise not_admitted()
        try:
            turn, last_ms = self.passes.admission_in(entry_token, event_id, user_id)
        except NotProved as error:
            raise not_proved(str(error)) from error
        try:
            # Busy is not gone: what is not checked for that is not let through.
            with self._told(event_id, {TooManyAsk: _TOLD[TooManyAsk]}):
                room, (place,) = await self._look(event_id, (user_id,))
                if room is not None and _is_behind(place, turn):
                    lost = Stands(user_id, turn, Step.ADMITTED, last_ms)
                    await self.rooms.restore(event_id, (lost,))
                    room, (place,) = await self._look(event_id, (user_id,))
        except (NoAnswer, ResponseError, RoomUnreadable):
            self.unchecked += 1
            return
        if room is None:
            # Lost: nobody knows whether the admission is over, so it is neither.
            raise Problem.of(*_UNREACHABLE)
        if place.standing is not Standing.ADMITTED:
            raise not_admitted()

    async def _look(
        self, event_id: int, users: Sequence[str], *, is_streamed: bool = False
    ) -> tuple[Room | None, tuple[Place, ...]]:
        with self._hearing(event_id) as was_deaf:
            return await self.rooms.look(
                event_id, users, was_deaf=was_deaf, is_streamed=is_streamed
            )

    @contextmanager
    def _hearing(self, event_id: int) -> Iterator[bool]:
        """Take signs of life, and say whether some were refused here since the last ones.

        What is refused, because Redis is away or full or more ask than it answers, is told with
        the next one that is not: who was refused is not silent.
        """
        was_deaf = event_id in self._deaf_to
        self._deaf_to.discard(event_id)
        try:
            yield was_deaf
        except (NoAnswer, TooManyAsk, ResponseError):
            if len(self._deaf_to) < DEAF_MAX:
                self._deaf_to.add(event_id)
            raise

    async def _claim(self, event_id: int, user_id: str) -> bool:
        """Have a user wait for one event at a time; say whether that is new. Raises Problem."""
        name, text = waits_in(user_id), b"%d" % event_id
        former = await self._ask("SET", name, event_id, "NX", "GET", "PX", STALE_MS)
        if former is not None and not former.isdigit():
            # None of ours: it is nobody's word that the user waits elsewhere.
            await self._ask("SET", name, event_id, "PX", STALE_MS)
        elif former is not None and former != text:
            raise Problem.of(
                ApiReason.WAITS_ELSEWHERE,
                "One event at a time: leave the other waiting room first.",
                event_id=int(former),
            )
        return former is None

    async def _say(self, event_id: int, users: Sequence[str], places: Sequence[Place]) -> None:
        """Write down what users are about to be told; raises as `TurnLog.say`."""
        if self.turns is None:
            return
        facts = [
            Fact(user, place.turn, _STEPS[place.standing], place.last_ms)
            for user, place in zip(users, places, strict=True)
            if place.is_unsaid
        ]
        if facts:
            await self.turns.say(self.rooms, event_id, facts)

    @contextmanager
    def _told(self, event_id: int, told: ToldAs = _TOLD) -> Iterator[None]:
        """Tell of errors; that there is no room is not said because this pod knows of none."""
        try:
            with told_as(told):
                yield
        except Problem as problem:
            if problem.reason is ApiReason.NO_WAITING_ROOM:
                raise self._absent(event_id) from problem
            raise

    def _absent(self, event_id: int) -> Problem:
        """Return the problem of a room that is not known here: none, or one that was lost."""
        return Problem.of(*_UNREACHABLE) if self.is_demanded(event_id) else no_room()

    def _turn_in(self, token: str, event_id: int, user_id: str) -> int:
        if self.passes is None:
            raise no_room()
        try:
            return self.passes.turn_in(token, QUEUE, event_id, user_id)
        except NotProved as error:
            raise not_proved(str(error)) from error

    async def _ask(self, *command: Any) -> Any:
        if self._line is None or self.passes is None:
            raise no_room()
        return await self._line.ask(*command)


def _is_behind(place: Place, turn: int) -> bool:
    """Say whether Redis does not know that a turn has let its user in."""
    return place.turn < turn or (place.turn == turn and place.standing is Standing.WAITING)


def no_room() -> Problem:
    """Return the 404 of an event without a waiting room."""
    return Problem.of(ApiReason.NO_WAITING_ROOM, "Ask for seats: nobody waits for this event.")


def not_admitted() -> Problem:
    """Return the 403 of who has to wait."""
    return Problem.of(
        ApiReason.ADMISSION_REQUIRED,
        "Enter the event's waiting room, and send the entry token that it gives.",
    )


def not_proved(why: str) -> Problem:
    """Return the 401 of a token that proves no turn here, or none any more."""
    headers = unauthenticated("", "invalid_token").headers
    return Problem.of(
        ApiReason.TURN_NOT_PROVED, f"The token proves no turn here: {why}.", headers=headers
    )
