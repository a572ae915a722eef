"""What a worker does for each event of its topic, as whoever writes one says it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streams.patience import WAKE_AGAIN_MS, Patience
from streams.settings import INBOX_RETENTION_MS
from streams.working.answers import ROLE, Seal
from streams.working.events import Identify, by_headers
from streams.working.task import Task

_PATIENCE: Final = Patience()


def no_answer(task: Task, payload: bytes) -> None:
    """Take an answer in, of a worker that wants nothing more than to be answered."""


def nothing_due(task: Task) -> None:
    """Do nothing, of a worker that sets no timers."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one role does for each event of its topic.

    begin:        the attempt: puts, emits, calls, or raises; pure, as a handler is.
    answered:     takes in what a destination answered, in the same way.
    patience:     how often, and when again.
    retention_ms: how long the inbox remembers an event, by the log's time.
    is_critical:  whether what fails for good is a dead letter; else it is only logged.
    call_ms:      how long a call may take.
    seal:         what its workers sign answers with; None where whoever may write events is
                  believed about them.
    woken:        the attempt when a timer is due that another attempt has set; it calls nobody.
    again_ms:     how long a timer pauses after its last attempt has failed.
    """

    role: str
    source: str
    begin: Callable[[Task], None]
    answered: Callable[[Task, bytes], None] = no_answer
    patience: Patience = _PATIENCE
    retention_ms: int = INBOX_RETENTION_MS
    is_critical: bool = True
    identify: Identify = by_headers
    call_ms: int = 30_000
    seal: Seal | None = None
    woken: Callable[[Task], None] = nothing_due
    again_ms: int = WAKE_AGAIN_MS

    def __post_init__(self) -> None:
        if ROLE.fullmatch(self.role) is None:
            raise ValueError(f"{self.role!r} is no role: letters, digits, dot, dash, underscore")
