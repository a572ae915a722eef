"""Requests that wait for an outcome of their reservation; all belong to one event loop.

A request makes its waiter before it appends its command or reads anything, so it misses no outcome
that comes afterwards. The waiter lives as long as its `with` block, so none is left behind.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from state.domain.outcome import Outcome

SEEN_MAX: Final = 64
"""How many outcomes a waiter keeps. A reservation has a handful of them, which may be repeated."""


class WaitsEnded(Exception):
    """The process ends, so this waiter will be told no further outcome.

    Operator action: none; the caller answers that the outcome is pending.
    """


class OutcomeWaiter:
    """The outcomes of one reservation that came since this waiter was made."""

    __slots__ = ("_seen", "_woken", "has_ended")

    def __init__(self) -> None:
        self.has_ended = False
        self._seen: deque[Outcome] = deque(maxlen=SEEN_MAX)
        self._woken = asyncio.Event()

    async def first(self, accepts: Callable[[Outcome], bool]) -> Outcome:
        """Return the first outcome that `accepts` takes, of those that came or will come.

        An outcome is returned once; the others stay for later calls. The wait has no end of its
        own: the caller bounds it. Raises WaitsEnded.
        """
        seen = self._seen
        while True:
            for at, outcome in enumerate(seen):
                if accepts(outcome):
                    del seen[at]
                    return outcome
            if self.has_ended:
                raise WaitsEnded
            self._woken.clear()
            await self._woken.wait()

    def tell(self, outcome: Outcome) -> None:
        self._seen.append(outcome)
        self._woken.set()

    def end(self) -> None:
        self.has_ended = True
        self._woken.set()


class OutcomeWaiters:
    """All waiters of now, by reservation id.

    Any thread may use `in`; everything else belongs to the loop.
    """

    def __init__(self) -> None:
        self._by_id: dict[bytes, set[OutcomeWaiter]] = {}
        self._has_ended = False

    def __contains__(self, reservation_id: object) -> bool:
        return reservation_id in self._by_id

    def __len__(self) -> int:
        return sum(map(len, self._by_id.values()))

    @contextmanager
    def waiting(self, reservation_id: bytes) -> Iterator[OutcomeWaiter]:
        """Return a waiter that is told every outcome of a reservation until its block ends."""
        waiter = OutcomeWaiter()
        if self._has_ended:
            waiter.end()
        waiters = self._by_id.setdefault(reservation_id, set())
        waiters.add(waiter)
        try:
            yield waiter
        finally:
            waiters.discard(waiter)
            if not waiters and self._by_id.get(reservation_id) is waiters:
                del self._by_id[reservation_id]

    def tell(self, outcomes: Iterable[Outcome]) -> None:
        """Tell each outcome to all waiters of its reservation."""
        for outcome in outcomes:
            for waiter in self._by_id.get(outcome.reservation_id, ()):
                waiter.tell(outcome)

    def end(self) -> None:
        """Wake all waiters, since the process ends, and end every later waiter at once."""
        self._has_ended = True
        for waiters in self._by_id.values():
            for waiter in waiters:
                waiter.end()
