"""What a worker keeps on its own disk, removed while it is away."""

import fcntl
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

OF_WORKERS = ("stores", "crash-journal.json", "deciding")
"""All of it is made from the brokers again; the lock of the directory stays."""


class InUse(Exception):
    """A worker has the directory, or none ever had it; nothing was removed."""


@contextmanager
def held(data_dirs: Iterable[Path]) -> Iterator[None]:
    """Keep workers away from these directories meanwhile: one that starts ends at once.

    Raises InUse where one of them is none of a worker, or of one that has not ended.
    """
    with ExitStack() as stack:
        for data_dir in dict.fromkeys(one.resolve() for one in data_dirs):
            lock = data_dir / "lock"
            if not lock.is_file():
                raise InUse(f"{data_dir} is no data directory of a worker: it has no lock")
            opened = stack.enter_context(lock.open("r", encoding="utf-8"))
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InUse(f"a worker uses {data_dir}: stop it") from error
        yield


def clear(data_dir: Path) -> None:
    """Remove what a worker keeps here, while it is `held`. Done twice it changes nothing."""
    for name in OF_WORKERS:
        path = data_dir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
