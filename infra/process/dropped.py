"""Asks a server again that ended the connection without an answer: what does no harm twice."""

import http.client
import time
import urllib.error
from collections.abc import Callable
from typing import Final, TypeVar

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0

Answer = TypeVar("Answer")


def unless_dropped(ask: Callable[[float], Answer], timeout_s: float) -> Answer:
    """Return what `ask` returns, and raise what it raises, but for a dropped connection.

    That says nothing of the server: a busy one drops one now and then. It is asked again until
    `timeout_s` are over, and for less than a pause it is not worth it.

    ask: is given how many seconds it may take.
    """
    until_s = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return ask(max(FIRST_PAUSE_S, until_s - time.monotonic()))
        except (OSError, http.client.HTTPException) as error:
            if not _is_dropped(error) or time.monotonic() + pause_s > until_s:
                raise
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _is_dropped(error: BaseException) -> bool:
    """Say whether somebody was there, and ended the connection before the answer did."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    ends = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
    return isinstance(reason, (*ends, http.client.IncompleteRead))
