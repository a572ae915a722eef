"""Callers that wait until the view meets their demand; the view's thread wakes them.

The thread asks a caller that waits for a version when its section changes, and one that waits for
an age when a heartbeat is answered. So a heartbeat costs one question for each caller that waits
for an age, however many others wait.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

SectionName = tuple[int, str]


@dataclass(frozen=True, slots=True, eq=False)
class Waiter:
    """A caller that waits.

    sections: sections whose changes may meet the demand.
    by_age:   whether an answered heartbeat may meet the demand.
    is_met:   the view's thread asks it; True ends the wait.
    wake:     the view's thread calls it, once or more; must not block.
    """

    sections: tuple[SectionName, ...]
    by_age: bool
    is_met: Callable[[], bool]
    wake: Callable[[], None]


class Waiters:
    """All callers that wait now. Look-ups never come here, so the lock costs them nothing."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: set[Waiter] = set()
        self._by_age: set[Waiter] = set()
        self._by_section: dict[SectionName, set[Waiter]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_aged(self) -> bool:
        """Say whether anybody waits for an age."""
        return bool(self._by_age)

    def add(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiting.add(waiter)
            if waiter.by_age:
                self._by_age.add(waiter)
            for name in waiter.sections:
                self._by_section.setdefault(name, set()).add(waiter)

    def discard(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiting.discard(waiter)
            self._by_age.discard(waiter)
            for name in waiter.sections:
                waiting = self._by_section.get(name, set())
                waiting.discard(waiter)
                if not waiting:
                    self._by_section.pop(name, None)

    def wake_of(self, sections: Iterable[SectionName]) -> None:
        """Wake the callers whose demand is met now that these sections have changed."""
        if not self._by_section:
            return
        with self._lock:
            waiting = {waiter for name in sections for waiter in self._by_section.get(name, ())}
        _wake(waiting)

    def wake_by_age(self) -> None:
        """Wake the callers whose demand is met now that a heartbeat was answered."""
        if not self._by_age:
            return
        with self._lock:
            waiting = list(self._by_age)
        _wake(waiting)

    def wake_all(self, *, always: bool = False) -> None:
        """Wake the callers whose demand is met; with `always`, all callers."""
        with self._lock:
            waiting = list(self._waiting)
        _wake(waiting, always=always)


def _wake(waiting: Iterable[Waiter], *, always: bool = False) -> None:
    for waiter in waiting:
        if always or waiter.is_met():
            waiter.wake()
