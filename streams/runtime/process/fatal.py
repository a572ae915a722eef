"""How a worker ends when it must not go on.

The log is the truth: whoever owns the partitions next replays what was not committed. So a
worker that cannot be sure of itself ends at once, without unwinding: framework clean-up code
would acknowledge what was never decided. What is wrong with one partition only is no reason to
end: that partition is set aside, and the others go on.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Literal, NoReturn, get_args

EXIT_CODE = 70
"""Exit code of a worker that ended itself (EX_SOFTWARE)."""

log = logging.getLogger("seatstream.runtime")

before_end: list[Callable[[], None]] = []
"""Called when this process ends itself, in whatever thread; must not fail."""


Reason = Literal["offsets", "changelog", "store", "input", "schema", "handler", "dead_letters"]
"""What is wrong with a partition that is set aside, in one word, for the metrics.

offsets:      its owner, committed offset or ends are not to be had, or do not fit together.
changelog:    its changelog cannot be read to the end, or holds what cannot be believed.
store:        its store is damaged, does not fit, or its disk is full.
input:        its records cannot be read, or some are missing.
schema:       a record needs a schema or code that this worker does not have.
handler:      deciding a record failed.
dead_letters: too many of its records were unreadable.
"""
REASONS: tuple[Reason, ...] = get_args(Reason)


class WorkerMustEnd(Exception):
    """A condition under which no worker may go on with any of its partitions.

    Its own identity, clock, memory or transaction is in doubt, or what all partitions share.

    Operator action: as the message says; the worker has committed nothing since.
    """


class PartitionTrouble(Exception):
    """A condition under which one partition cannot go on; the others can.

    Raised while a partition is taken over or decided. It is set aside with this message on
    `/ready`, in the log and in the metrics, its store is closed, and it is taken over anew after
    growing pauses; nothing of it is committed meanwhile.

    Operator action: as the message says; once it is mended the next try takes the partition in.
    """

    def __init__(
        self, message: str, reason: Reason = "store", *, forget_store: bool = False
    ) -> None:
        """Say what is wrong.

        forget_store: what lies in the store cannot be believed: it is deleted, and the next try
                      restores it from the beginning of the changelog.
        """
        super().__init__(message)
        self.reason: Reason = reason
        self.forget_store = forget_store


def end_process(reason: str, error: BaseException | None = None) -> NoReturn:
    """Log why, flush, and end the process."""
    for call in before_end:
        call()
    log.critical("worker ends: %s", reason, exc_info=error)
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stderr.flush()
    os._exit(EXIT_CODE)
