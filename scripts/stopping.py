"""How a script that somebody stops with Ctrl-C ends: with a word and the shell's code."""

import sys
from collections.abc import Callable

STOPPED = 130


def until_stopped(main: Callable[[], int]) -> int:
    """Run a script's main; return its exit code, or 130 where Ctrl-C stopped it."""
    try:
        return main()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
