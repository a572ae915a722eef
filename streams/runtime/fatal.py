"""How a worker ends when it must not go on.

The log is the truth: whoever owns the partitions next replays what was not committed. So a
worker that meets something unexpected ends at once, without unwinding: framework clean-up code
would acknowledge what was never decided.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

EXIT_CODE = 70
"""Exit code of a worker that ended itself (EX_SOFTWARE)."""

log = logging.getLogger("seatstream.runtime")


class WorkerMustEnd(Exception):
    """A condition under which no worker may go on with its partitions.

    Operator action: as the message says; the worker has committed nothing since.
    """


def end_process(reason: str, error: BaseException | None = None) -> NoReturn:
    """Log why, flush, and end the process."""
    log.critical("worker ends: %s", reason, exc_info=error)
    for handler in logging.getLogger().handlers:
        handler.flush()
    sys.stderr.flush()
    os._exit(EXIT_CODE)
