"""The directory of a worker's stores, which no two workers use at once."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO

from streams.runtime.process.fatal import WorkerMustEnd


def lock_data_dir(data_dir: Path) -> TextIO:
    """Lock a data directory; the lock ends with the process, however that ends.

    Raises WorkerMustEnd where another worker has it.
    """
    lock = (data_dir / "lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        message = (
            f"another worker uses {data_dir}: give each worker a SEATSTREAM_DATA_DIR of its own"
        )
        raise WorkerMustEnd(message) from error
    return lock
