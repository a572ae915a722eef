"""Callers that wait until a section's status is as they demand; the view's thread wakes them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

SectionName = tuple[int, str]


@dataclass(frozen=True, slots=True, eq=False)
class Waiter:
    """One caller.

    is_met: asked in the view's thread; True ends the wait.
    wake:   called in the view's thread, once or more; must not block.
    """

    section: SectionName
    is_met: Callable[[], bool]
    wake: Callable[[], None]


class Waiters:
    """All who wait now. Look-ups never come here, so a lock costs them nothing."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_section: dict[SectionName, set[Waiter]] = {}

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._by_section.values()))

    def add(self, waiter: Waiter) -> None:
        with self._lock:
            self._by_section.setdefault(waiter.section, set()).add(waiter)

    def discard(self, waiter: Waiter) -> None:
        with self._lock:
            waiting = self._by_section.get(waiter.section, set())
            waiting.discard(waiter)
            if not waiting:
                self._by_section.pop(waiter.section, None)

    def wake(self, sections: Iterable[SectionName] | None = None, *, always: bool = False) -> None:
        """Wake those of these sections (None: of all) whose demand is met, or all of them."""
        if not self._by_section:
            return
        with self._lock:
            asked = self._by_section if sections is None else sections
            waiting = [waiter for name in asked for waiter in self._by_section.get(name, ())]
        for waiter in waiting:
            if always or waiter.is_met():
                waiter.wake()
