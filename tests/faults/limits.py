"""A full disk and too little memory, for one running process and whatever user we are.

The kernel's limits of a process (`prlimit`) stand in for a small disk: a file cannot grow beyond
them, so a write fails as it would on a full disk (EFBIG where that says ENOSPC). Only the soft
limit is lowered, and so everything can be taken back.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_size_limit(pid: int, limit_bytes: int) -> Iterator[None]:
    """Let no file of a process grow beyond a size while the block runs: its disk is full.

    Files that are longer already cannot be appended to. The process must ignore SIGXFSZ, as
    Python and Java do.
    """
    with _soft_limit(pid, resource.RLIMIT_FSIZE, limit_bytes):
        yield


@contextmanager
def memory_limit(pid: int, spare_bytes: int) -> Iterator[None]:
    """Let a process have so much more address space than it has, and no more, in the block."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    limit_bytes = pages * resource.getpagesize() + spare_bytes
    with _soft_limit(pid, resource.RLIMIT_AS, limit_bytes):
        yield


@contextmanager
def _soft_limit(pid: int, kind: int, limit: int) -> Iterator[None]:
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (limit, before[1]))
    try:
        yield
    finally:
        # Whoever could not live with the limit has nothing to take back.
        if Path(f"/proc/{pid}/stat").exists():
            resource.prlimit(pid, kind, before)
