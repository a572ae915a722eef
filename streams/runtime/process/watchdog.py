"""Ends a process that was paused for so long that it may no longer own its partitions.

The watchdog shortens the time in which a woken worker does useless work; only fencing keeps that
work from being committed.

The watchdog ticks in a thread of its own, as heartbeats do: a worker whose event loop is merely
busy still owns its partitions, and ending it would put its load on the next worker.
"""

from __future__ import annotations

import asyncio
import threading
import time

from streams.runtime.process.fatal import end_process

_TICK_S = 0.2


class Watchdog:
    """Notices that the process did not run for more than `limit_s` seconds; 0 is off."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._ticked_at = time.monotonic()
        self._stopping = threading.Event()

    def check(self) -> None:
        """End the process if it was away for too long."""
        away_s = time.monotonic() - self._ticked_at
        if self._limit_s and away_s > self._limit_s:
            end_process(
                f"this process did not run for {away_s:.1f} s, more than {self._limit_s:.1f} s: "
                "its partitions may belong to another worker by now"
            )

    async def run(self) -> None:
        """Tick until cancelled."""
        self._ticked_at = time.monotonic()
        threading.Thread(target=self._tick, name="watchdog", daemon=True).start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._stopping.set()

    def _tick(self) -> None:
        while not self._stopping.wait(_TICK_S):
            # After a pause, either this thread or a commit checks first; both end the process.
            self.check()
            self._ticked_at = time.monotonic()
