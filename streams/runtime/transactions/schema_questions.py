"""What a partition asks the registry, and how long its records may wait for the answers.

A record with an unknown schema id holds up its partition: no record behind it is decided, and no
hold lapses. So all unknown ids are asked for at once, and "there is no such id" counts as an
answer. A registry that does not answer holds a partition up for 30 s an hour at most, however many
unknown ids there are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final

AskRegistry = Callable[[int], bool | None]
"""Asks for a schema id: True where it is known now, None where there is none, False where nobody
answers."""

WAIT_S: Final = 30.0
PERIOD_S: Final = 3_600.0
_ASK_AGAIN_S: Final = 1.0
_AT_A_TIME: Final = 8
# For so long an id counts as unknown: a schema may be registered after the first record with it.
_UNKNOWN_S: Final = 60.0
_UNKNOWN_MAX: Final = 10_000


class SchemaQuestions:
    """The questions of one partition.

    clock: tells seconds. pause: waits for so many seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._pause = pause
        self._waits: deque[tuple[float, float]] = deque()
        self._unknown_until: dict[int, float] = {}

    def unknown(self) -> frozenset[int]:
        """Return the ids that the registry lately did not know, or did not answer for."""
        if self._unknown_until:
            now = self._clock()
            self._unknown_until = {
                one: until for one, until in self._unknown_until.items() if until > now
            }
        return frozenset(self._unknown_until)

    def left_s(self) -> float:
        """Return how many seconds the partition may still wait within this hour."""
        now = self._clock()
        while self._waits and self._waits[0][0] <= now - PERIOD_S:
            self._waits.popleft()
        return max(0.0, WAIT_S - sum(waited for _, waited in self._waits))

    async def ask(self, ids: Collection[int], ask: AskRegistry) -> None:
        """Return when each id is known, or noted as unknown; raises what `ask` does."""
        began = self._clock()
        until = began + self.left_s()
        waiting = set(ids)
        try:
            while waiting and (left := until - self._clock()) > 0:
                waiting -= await self._asked(waiting, ask, left)
                if waiting:
                    await self._pause(min(_ASK_AGAIN_S, max(0.0, until - self._clock())))
        finally:
            self._waits.append((self._clock(), self._clock() - began))
        self._note(waiting)

    async def _asked(self, ids: Collection[int], ask: AskRegistry, timeout_s: float) -> set[int]:
        """Ask for all ids at once; return those that were answered."""
        loop = asyncio.get_running_loop()
        # Threads of its own, because a registry that hangs must hold up neither stores that are
        # being opened nor other partitions' questions. After the time-out, questions under way may
        # still be answered, for the next record that needs them; the others are given up.
        threads = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="registry")
        try:
            id_by_question = {loop.run_in_executor(threads, ask, one): one for one in ids}
            done, _ = await asyncio.wait(id_by_question, timeout=timeout_s)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
        answers = {id_by_question[question]: question.result() for question in done}
        self._note([one for one, answer in answers.items() if answer is None])
        return {one for one, answer in answers.items() if answer is not False}

    def _note(self, ids: Collection[int]) -> None:
        if len(self._unknown_until) > _UNKNOWN_MAX:
            self._unknown_until.clear()
        self._unknown_until |= dict.fromkeys(ids, self._clock() + _UNKNOWN_S)
