"""What a worker keeps on its own disk, removed while it is away."""

import fcntl
import shutil
from pathlib import Path

OF_WORKERS = ("stores", "crash-journal.json", "deciding")
"""All of it is made from the brokers again; the lock of the directory stays."""


class InUse(Exception):
    """A worker has the directory, or none ever had it; nothing was removed."""


def check(data_dir: Path) -> None:
    """Raise InUse unless this is the data directory of a worker that has ended."""
    lock = data_dir / "lock"
    if not lock.is_file():
        raise InUse(f"{data_dir} is no data directory of a worker: it has no lock")
    with lock.open("r", encoding="utf-8") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            raise InUse(f"a worker uses {data_dir}: stop it") from error


def clear(data_dir: Path) -> None:
    """Remove what a worker keeps here; raises InUse. Done twice it changes nothing."""
    check(data_dir)
    for name in OF_WORKERS:
        path = data_dir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
