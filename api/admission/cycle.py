"""One cycle of promotion: who is gone is given up, and the next ones of each open room are let in.

A cycle writes a list of tasks, one for each open room where somebody waits. Members of a pool take
one each, and run the script of that room. What a task does has an id that follows from cycle and
event: done again, by who takes it over from one that died, it has the same effect and answer.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Final

from api.admission.pool import Pool
from api.admission.proving import LineProver
from api.web.logs import log
from state.domain.waiting.admission import PROMOTED_MAX, REAPED_MAX, Room
from state.domain.waiting.line import Turn
from state.redis.waiting.rooms import WaitingRooms
from state.redis.waiting.tasks import PromotionTasks

TRIES: Final = 3
"""Of a task within one cycle; the next cycle has a task for the same room."""

ROUNDS_MAX: Final = 50
"""Scripts of one task: 5,000 promotions in a second and in one room are enough."""

REAPS_MAX: Final = 40
"""Scripts that give up who is gone, of one room in a cycle; the next cycle goes on."""

PROVE_AGAIN_S: Final = 5.0
"""Pause after a line could not be compared with what was told: a topic is read whole."""

Supply = Callable[[int], int | None]
"""Event -> seats that somebody who is let in now may hope for; None where nobody knows."""

Promoted = Callable[[int, Sequence[Turn]], Awaitable[None]]
"""Is told who was let in; what it raises makes the task fail, and so be done again."""


Say = Callable[[int], Awaitable[None]]
"""Writes down what became of turns in a room; raises where that is not certain."""


Draw = Callable[[int], Awaitable[None]]
"""Tells the seed of a room that has opened, so that whoever stands by lot is told the place."""


Prove = Callable[[WaitingRooms, Mapping[int, str]], Awaitable[None]]
"""Compares rooms with all that users were told, by the lives of their servers."""


async def nothing_is_said(_: int) -> None:
    """Write nothing down."""


async def nobody_is_told(_: int, __: Sequence[Turn]) -> None:
    """Be told, and tell nobody."""


@dataclass(slots=True)
class CycleCounters:
    """What cycles have done.

    cycles: begun and ended. taken_over: of them, begun by another. promoted: who was let in.
    gone: who was given up, waiting or admitted. failed: tries at tasks. given_up: tasks that were
    left to the next cycle. unsure: rooms of which nobody knew what can be bought.
    """

    cycles: int = 0
    taken_over: int = 0
    promoted: int = 0
    gone: int = 0
    failed: int = 0
    given_up: int = 0
    unsure: int = 0


@dataclass(eq=False)
class PromotionCycles:
    """Runs cycles; one at a time in a process, any number in several.

    promoted, gone: are told who was let in, and whose admission has ended. say: writes that down
    before. prove: is called for rooms whose server was started again, and after it has failed no
    sooner than prove_again_s. draw: is called where a room has opened whose lots are not told.
    """

    rooms: WaitingRooms
    tasks: PromotionTasks
    pool: Pool
    supply: Supply
    _: KW_ONLY
    promoted: Promoted = nobody_is_told
    gone: Promoted = nobody_is_told
    say: Say = nothing_is_said
    draw: Draw = nothing_is_said
    prove: Prove = field(default_factory=lambda: LineProver(None).prove)
    prove_again_s: float = PROVE_AGAIN_S
    proving: "asyncio.Task[None] | None" = field(init=False, default=None)
    _lives: dict[int, str] = field(init=False, default_factory=dict)
    counters: CycleCounters = field(init=False, default_factory=CycleCounters)
    _troubles: dict[int, str] = field(init=False, default_factory=dict)

    async def run(self) -> None:
        """Run one cycle, after those that others have left; raises as Redis where it fails."""
        while (left := await self.tasks.take_over()) is not None:
            self.counters.taken_over += 1
            await self._work(*left)
        self._lives.clear()
        events = await self.rooms.events()
        looks = await self.pool.do_all([partial(self._look_at, event) for event in events])
        due = [event for event, is_due in zip(events, looks, strict=True) if is_due is True]
        for event, end in zip(events, looks, strict=True):
            if isinstance(end, BaseException):
                self._failed(event, end)
            elif event not in due and event not in self._lives:
                self._troubles.pop(event, None)
        # Beside the cycles: a long topic takes longer than a lease.
        if self._lives and (self.proving is None or self.proving.done()):
            self.proving = asyncio.create_task(self._prove(dict(self._lives)))
        if due:
            await self._work(await self.tasks.begin(due), len(due))

    async def close(self) -> None:
        """End what goes on beside the cycles."""
        if self.proving is not None:
            self.proving.cancel()
            await asyncio.wait({self.proving})

    async def _prove(self, lives: Mapping[int, str]) -> None:
        try:
            await self.prove(self.rooms, lives)
        except Exception as error:  # noqa: BLE001  (nobody is let in there; the next cycle tries again)
            for event in lives:
                self._failed(event, error)
            # What cannot be read now is read from its beginning the next time.
            await asyncio.sleep(self.prove_again_s)
        else:
            for event in lives:
                log.info("event %d: its line is what was written down", event)

    async def _look_at(self, event_id: int) -> bool:
        """Give up who is gone from a room, and say whether somebody may be promoted there."""
        room, life = await self._give_up(event_id)
        # Where nothing can be written down nobody could be told, and so nobody is let in.
        await self.say(event_id)
        if room is None:
            # It has ended, or was lost: whoever sets it up anew has it promoted again.
            await self.rooms.forget(event_id)
        elif room.is_pre_queue and room.now_ms >= room.opens_ms:
            await self.draw(event_id)
        if room is not None and life:
            # Nobody is let in before it is known who was.
            self._lives[event_id] = life
            return False
        # Sold out or not is found by promoting: also where nobody may be.
        return room is not None and room.is_open and room.waiting > 0

    async def _give_up(self, event_id: int) -> tuple[Room | None, str]:
        """Give up who is gone from a room, some hundreds by each script.

        Returns the room, and the life of its server where that has yet to be proved.
        """
        for left in reversed(range(REAPS_MAX)):
            reaped = await self.rooms.reap(event_id)
            self.counters.gone += reaped.waiting + len(reaped.admitted)
            if reaped.admitted:
                await self.gone(event_id, reaped.admitted)
            if not left or max(reaped.waiting, len(reaped.admitted)) < REAPED_MAX:
                return reaped.room, reaped.life
        raise AssertionError("one script at least")

    async def _work(self, cycle: str, count: int) -> None:
        """Have the tasks of a cycle done, and end it."""
        tries: Counter[int] = Counter()
        while count:
            ends = await self.pool.do_all([partial(self._one, cycle, tries)] * count)
            errors = [end for end in ends if isinstance(end, BaseException)]
            if errors:
                # Whoever takes the cycle over does what is left of it.
                raise errors[0]
            count = sum(ends)
        await self.tasks.end(cycle)
        self.counters.cycles += 1

    async def _one(self, cycle: str, tries: Counter[int]) -> bool:
        """Take one task and do it; say whether it was given back."""
        event = await self.tasks.take(cycle)
        if event is None:
            return False
        try:
            await self._promote(cycle, event)
            self._troubles.pop(event, None)
        except Exception as error:  # noqa: BLE001  (one room's trouble is its own)
            self._failed(event, error)
            tries[event] += 1
            if tries[event] < TRIES:
                await self.tasks.give_back(cycle, event)
                return True
            self.counters.given_up += 1
        await self.tasks.done(cycle, event)
        return False

    async def _promote(self, cycle: str, event_id: int) -> None:
        most = self.supply(event_id)
        if most is None:
            # Not known is not nothing, and not plenty either: who waits goes on to wait.
            self.counters.unsure += 1
            return
        for turn in range(ROUNDS_MAX):
            name = f"{cycle}-{event_id}-{turn}"
            promoted = await self.rooms.promote(event_id, name, PROMOTED_MAX, most)
            if promoted:
                await self.say(event_id)
                await self.promoted(event_id, promoted)
                self.counters.promoted += len(promoted)
            if len(promoted) < PROMOTED_MAX:
                return

    def _failed(self, event_id: int, error: BaseException) -> None:
        self.counters.failed += 1
        trouble = f"{type(error).__name__}: {error}"
        # Once, and not every second.
        if self._troubles.get(event_id) != trouble:
            log.error("the waiting room of event %d: %s", event_id, trouble)
        self._troubles[event_id] = trouble
