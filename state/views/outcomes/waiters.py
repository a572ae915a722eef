"""Requests that wait for an outcome of their reservation; all of them belong to one event loop.

A waiter is made before its command is appended and before anything is read, so nothing that comes
afterwards is missed; it lives exactly as long as a `with` block, so nothing of it stays behind.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from state.domain.outcome import Outcome

SEEN_MAX: Final = 64
"""Outcomes kept for one waiter. A reservation has a handful, and repeats of them."""


class WaitsEnded(Exception):
    """The process ends: nobody will tell this waiter anything more.

    Operator action: none; the caller answers that the outcome is pending.
    """


class OutcomeWaiter:
    """What came for one reservation since this waiter was made."""

    __slots__ = ("_seen", "_woken", "has_ended")

    def __init__(self) -> None:
        self.has_ended = False
        self._seen: deque[Outcome] = deque(maxlen=SEEN_MAX)
        self._woken = asyncio.Event()

    async def first(self, accepts: Callable[[Outcome], bool]) -> Outcome:
        """Return the first outcome that `accepts` says is the one, among those that came before.

        It is not returned again; the others may still be. Waits for ever: the caller bounds it.
        Raises WaitsEnded.
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
    """All who wait now, by reservation id.

    `in` may be asked in any thread; everything else belongs to the loop.
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
        """Give a waiter that is told every outcome of a reservation until the block ends."""
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
        """Tell each outcome to all who wait for its reservation."""
        for outcome in outcomes:
            for waiter in self._by_id.get(outcome.reservation_id, ()):
                waiter.tell(outcome)

    def end(self) -> None:
        """Wake everybody: the process ends. Who comes later is not kept waiting either."""
        self._has_ended = True
        for waiters in self._by_id.values():
            for waiter in waiters:
                waiter.end()
