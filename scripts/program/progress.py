"""How far long work is: a bar on a terminal, and a plain line now and then anywhere else.

All of it goes to standard error, so that a result can be piped. Nothing is shown but by a command
that a person has started: what tests, the demo or another program call is silent.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

DRAWN_S = 0.1
"""Between two drawings of a bar; work that is done sooner has none."""
LINES_S = 5.0
"""Between two lines in a file."""
WIDTH = 30
CLEAR = "\r\x1b[K"

Told = Callable[[int, int], None]
"""Called with what is done, and what there is to do; 0: nobody knows."""

_SHOWN: ContextVar[bool] = ContextVar("_SHOWN", default=False)


class Progress:
    """What is told of one piece of work; now: gives seconds, which only rise."""

    def __init__(
        self, what: str, stream: TextIO, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._stream = stream
        self._now = now
        self._is_drawn = stream.isatty()
        self._pause_s = DRAWN_S if self._is_drawn else LINES_S
        self._began = self._last = now()
        self._done = self._total = 0
        self._is_told = False

    def __call__(self, done: int, total: int) -> None:
        """Tell how far it is, unless that was told a moment ago."""
        self._done, self._total = done, total
        if self._now() - self._last >= self._pause_s:
            self._tell()

    def end(self) -> None:
        """Take the bar away; a file that has lines of the work gets a last one."""
        if self._is_drawn and self._is_told:
            self._write(CLEAR)
        elif self._is_told:
            self._tell()

    def _tell(self) -> None:
        self._last, self._is_told = self._now(), True
        said = f"{self._what}: {self._done:,}"
        if self._total:
            said += f" of {self._total:,}"
        said += f", {self._done / max(self._last - self._began, DRAWN_S):,.0f}/s"
        if not self._is_drawn:
            self._write(f"{said}\n")
            return
        filled = WIDTH * min(self._done, self._total) // self._total if self._total else 0
        bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] " if self._total else ""
        self._write(f"{CLEAR}{bar}{said}")

    def _write(self, said: str) -> None:
        self._stream.write(said)
        self._stream.flush()


@contextmanager
def progress(what: str) -> Iterator[Told]:
    """Give what tells how far a piece of work is; silent but in a command of a person's."""
    if not _SHOWN.get():
        yield lambda _done, _total: None
        return
    shown = Progress(what, sys.stderr)
    try:
        yield shown
    finally:
        shown.end()


def note(line: str) -> None:
    """Say at once why a command goes on without a result yet; silent as `progress` is."""
    if _SHOWN.get():
        print(line, file=sys.stderr, flush=True)


@contextmanager
def shown() -> Iterator[None]:
    """Show what `progress` is told meanwhile."""
    before = _SHOWN.set(True)
    try:
        yield
    finally:
        _SHOWN.reset(before)
