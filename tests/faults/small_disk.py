"""A directory that is a disk of its own, small enough to be filled."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def may_be_made() -> bool:
    """Say whether we may make one: root may; others take `limits.file_size_limit` instead."""
    return os.geteuid() == 0


@contextmanager
def small_disk(directory: Path, size_bytes: int) -> Iterator[None]:
    """Lay a disk (tmpfs) over an empty directory while the block runs; its content goes with it.

    Raises OSError where the kernel does not allow it, as in many containers.
    """
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise OSError(done.stderr)
    try:
        yield
    finally:
        # Whoever still has a file open there keeps it until it ends.
        subprocess.run(["umount", "--lazy", str(directory)], timeout=60, check=True)


@contextmanager
def no_room(directory: Path) -> Iterator[None]:
    """Take every free byte of the disk that a directory lies on while the block runs."""
    filler = directory / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        yield
    finally:
        filler.unlink(missing_ok=True)
