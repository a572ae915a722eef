"""What views share that answer from one reading, and wake all who wait whenever more was read."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from state.views.following.reading import Reading, ReadingCounters, until

ReadingT = TypeVar("ReadingT", bound=Reading)
CountersT = TypeVar("CountersT", bound=ReadingCounters)


class WaitedFor(Generic[ReadingT, CountersT]):
    """A view of a topic in which few things happen, so that each wakes everybody who waits.

    counters: what the view counts of its topic. trouble: why it cannot follow the topic now.
    A subclass makes `_reading`, its first and empty one.
    """

    _reading: ReadingT

    def __init__(self, counters: CountersT) -> None:
        self.counters = counters
        self.trouble = ""
        self._wakers: frozenset[Callable[[], None]] = frozenset()
        self._wakers_lock = threading.Lock()
        self._is_ready = False
        self._closed = False

    def is_ready(self) -> bool:
        """Say whether the view has read the topic to the ends that it had at start."""
        return self._is_ready

    async def until(self, is_met: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until records of the topic make `is_met()` true; return whether it is.

        is_met: called on the loop, whenever records were taken in.
        """
        return await until(is_met, timeout_s, self._waking, lambda: self._closed)

    @contextmanager
    def _waking(self, wake: Callable[[], None]) -> Iterator[None]:
        with self._wakers_lock:
            self._wakers |= {wake}
        try:
            yield
        finally:
            with self._wakers_lock:
                self._wakers -= {wake}

    def _wake(self) -> None:
        for wake in self._wakers:
            wake()

    # --- what the feed's thread tells ------------------------------------------------------

    def publish(self, reading: ReadingT) -> None:
        """Answer from this reading from now on, since it is complete."""
        self._reading = reading
        self.counters.readings += 1
        self._is_ready = True
        self._wake()

    def refreshed(self) -> None:
        """Wake all who wait, since a heartbeat was answered and the age is lower."""
        self._wake()

    def end_waits(self) -> None:
        """Answer everybody who waits now, and let nobody wait any more."""
        self._closed = True
        self._wake()

    def troubled(self, trouble: str) -> None:
        """Note why the view cannot follow the topic; an empty string when it can again."""
        self.trouble = trouble
