"""How a worker ends when it must not go on.

The log is the truth: the next owner of the partitions replays all that was not committed. So a
worker that cannot be sure of itself ends at once and without unwinding, because clean-up code of
the frameworks would acknowledge records that were never decided. A trouble of one partition is no
reason to end: that partition is set aside, and the others go on.
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
"""Called in the thread that ends this process, just before; must not raise."""


Reason = Literal[
    "offsets", "changelog", "store", "input", "schema", "handler", "dead_letters", "database"
]
"""What is wrong with a partition that is set aside, in one word, for the metrics.

offsets:      its owner, committed offset or ends cannot be read, or do not fit together.
changelog:    its changelog cannot be read to the end, or has records that cannot be believed.
store:        its store is damaged, does not fit, or its disk is full.
input:        its records cannot be read, or some are missing.
schema:       a record needs a schema or code that this worker does not have.
handler:      deciding a record failed.
dead_letters: too many of its records were unreadable.
database:     what its records say could not be written to a database.
"""
REASONS: tuple[Reason, ...] = get_args(Reason)


class WorkerMustEnd(Exception):
    """A condition under which no worker may go on with any of its partitions.

    Its own identity, clock, memory or transaction is in doubt, or a thing that all partitions
    share.

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

        forget_store: the store's content cannot be believed: the store is deleted, and the next
                      try restores it from the beginning of the changelog.
        """
        super().__init__(message)
        self.reason: Reason = reason
        self.forget_store = forget_store


def end_process(reason: str, error: BaseException | None = None) -> NoReturn:
    """Log the reason, flush, and end the process with EXIT_CODE."""
    for call in before_end:
        call()
    log.critical("worker ends: %s", reason, exc_info=error)
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stderr.flush()
    os._exit(EXIT_CODE)
