"""The tasks of a cycle of promotion: a list in Redis that ends by itself, one entry an event.

A task is taken by one, and kept among the taken ones until it is done: whoever dies in it loses
nothing, for another takes over a cycle that nobody is at any more. Each task is done once, since
what it does has an id that follows from cycle and event.
"""

import re
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from state.redis.keys import PROMOTION_CYCLES, promotion_tasks
from state.redis.scripts import Ask, Script

LISTED_MS: Final = 300_000
"""A list ends after this: what nobody has done by then, later cycles have."""

HELD_MS: Final = 10_000
"""A cycle of which nobody has taken a task for so long is taken over by another."""

_TASKS_MAX: Final = 1_000
"""Tasks that one script writes."""

_CYCLE: Final = re.compile(rb"[0-9a-f]{32}")

_BEGIN: Final = Script("tasks_begin")
_TAKE: Final = Script("tasks_take")
_BACK: Final = Script("tasks_back")
_HOLD: Final = Script("tasks_hold")


class PromotionTasks:
    """All cycles at one Redis; each operation raises as `ask` where Redis does not answer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def begin(self, events: Sequence[int]) -> str:
        """Begin a cycle with a task for each event, at least one; return its fresh id."""
        assert events
        cycle = uuid4().hex
        # Before its list: one that was begun by who died then is found, and ended.
        await self._hold(cycle)
        tasks, _ = promotion_tasks(cycle)
        for first in range(0, len(events), _TASKS_MAX):
            part = events[first : first + _TASKS_MAX]
            await _BEGIN.run(self._ask, (tasks,), (LISTED_MS, *part))
        return cycle

    async def take(self, cycle: str) -> int | None:
        """Return the event of a task that nobody else has taken; None where none is left."""
        await self._hold(cycle)
        tasks, taken = promotion_tasks(cycle)
        while (task := await _TAKE.run(self._ask, (tasks, taken), (LISTED_MS,))) is not None:
            if task.isdigit():
                return int(task)
            # None of ours.
            await self._ask("LREM", taken, 1, task)
        return None

    async def done(self, cycle: str, event_id: int) -> None:
        """Forget a task that was taken."""
        await self._ask("LREM", promotion_tasks(cycle)[1], 1, event_id)

    async def give_back(self, cycle: str, event_id: int) -> None:
        """Have a task that was taken, and not done, be taken again."""
        await _BACK.run(self._ask, promotion_tasks(cycle), (LISTED_MS, event_id))

    async def take_over(self) -> tuple[str, int] | None:
        """Return a cycle that nobody is at any more, and how many tasks are to be taken; or None.

        Those that were taken, and not done, are among them.
        """
        while True:
            cycle = await _HOLD.run(self._ask, (PROMOTION_CYCLES,), (HELD_MS, LISTED_MS))
            if cycle is None:
                return None
            if _CYCLE.fullmatch(cycle):
                break
            # None of ours.
            await self._ask("ZREM", PROMOTION_CYCLES, cycle)
        name: str = cycle.decode()
        left: int = await _BACK.run(self._ask, promotion_tasks(name), (LISTED_MS,))
        return name, left

    async def end(self, cycle: str) -> None:
        """Forget a cycle whose tasks are done; its lists are gone, or end by themselves."""
        await self._ask("ZREM", PROMOTION_CYCLES, cycle)
        await self._ask("DEL", *promotion_tasks(cycle))

    async def _hold(self, cycle: str) -> None:
        await _HOLD.run(self._ask, (PROMOTION_CYCLES,), (HELD_MS, LISTED_MS, cycle))
