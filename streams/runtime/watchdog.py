"""Ends a process that was paused for so long that it may no longer own its partitions.

It narrows the window in which a woken worker does useless work; fencing is what closes it.
"""

from __future__ import annotations

import asyncio
import time

from streams.runtime.fatal import end_process

_TICK_S = 0.2


class Watchdog:
    """Notices that the event loop did not run for more than `limit_s` seconds; 0 is off."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._ticked_at = time.monotonic()

    def check(self) -> None:
        """End the process if the loop was away for too long."""
        away_s = time.monotonic() - self._ticked_at
        if self._limit_s and away_s > self._limit_s:
            end_process(
                f"this process did not run for {away_s:.1f} s, more than {self._limit_s:.1f} s: "
                "its partitions may belong to another worker by now"
            )

    async def run(self) -> None:
        """Tick until cancelled."""
        self._ticked_at = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            self.check()
            self._ticked_at = time.monotonic()
