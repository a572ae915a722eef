"""Places where a test can make a process die, wait or fail: nothing when FAILPOINTS is unset.

    FAILPOINTS="commit_requested:kill:3,store_written:sleep_2.5:1"

means: at the third time that the process reaches `commit_requested` it kills itself; at the first
time it reaches `store_written` it sleeps 2.5 s. Actions: kill, raise, sleep_SECONDS.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Self


class FailpointReached(Exception):
    """Raised by a failpoint with the action `raise`; only tests arm one."""


class Failpoints:
    """The armed failpoints of this process.

    names: places that there are; another one is refused with ValueError.
    """

    def __init__(self, text: str, names: Collection[str]) -> None:
        self._armed: dict[str, tuple[str, int]] = {}
        self._hits: Counter[str] = Counter()
        for entry in filter(None, text.split(",")):
            name, action, nth = entry.split(":")
            if name not in names:
                message = f"FAILPOINTS: unknown place {name!r}; known: {', '.join(names)}"
                raise ValueError(message)
            self._armed[name] = (action, int(nth))

    @classmethod
    def from_env(cls, environ: Mapping[str, str], names: Collection[str]) -> Self:
        return cls(environ.get("FAILPOINTS", ""), names)

    def reach(self, name: str) -> None:
        """Do what is armed for this place, if its time has come."""
        if name not in self._armed:
            return
        action, nth = self._armed[name]
        self._hits[name] += 1
        if self._hits[name] != nth:
            return
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "raise":
            raise FailpointReached(name)
        elif action.startswith("sleep_"):
            # Blocks the whole loop on purpose: this is what a paused process looks like.
            print(f"failpoint {name}: stands still", file=sys.stderr, flush=True)
            time.sleep(float(action.removeprefix("sleep_")))
        else:
            message = f"FAILPOINTS: unknown action {action!r}"
            raise ValueError(message)
