"""Lines that say what a benchmark is doing, on the error stream: results go to the other one."""

import sys
import time


class Progress:
    """One line a step; on a terminal the position within a step is shown in place."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._is_terminal = sys.stderr.isatty()
        self._shown_s = 0.0

    def step(self, text: str) -> None:
        """Begin a step."""
        self._write(f"{text}\n")

    def position(self, done: int, total: int) -> None:
        """Show how far the step is, at most five times a second."""
        now = time.monotonic()
        if self._is_terminal and now - self._shown_s > 0.2:
            self._shown_s = now
            filled = 30 * done // max(1, total)
            self._write(f"[{'#' * filled}{'.' * (30 - filled)}] {done:,} of {total:,}\r")

    def _write(self, text: str) -> None:
        erase = "\x1b[2K" if self._is_terminal else ""
        sys.stderr.write(f"{erase}{time.monotonic() - self._started_s:7.1f} s  {text}")
        sys.stderr.flush()
