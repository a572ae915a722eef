"""Which records are being decided at this moment, in a place that outlives the process.

A record can end the process without an exception: by a segmentation fault, or because the kernel
kills a process that takes too much memory. Such a process can write nothing down. So the offsets
of a batch are written before it is decided, to a page of a file that is mapped into memory. That
copies a few bytes for each batch and waits for no disk, and the kernel keeps the page however the
process dies. (A crash of the machine may lose the page; but no record crashes a machine.)
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple, Self

_PAGE = struct.Struct("<?QQH300s")


class Stretch(NamedTuple):
    """Offsets of one partition (`topic-number`), both ends included."""

    place: str
    first_offset: int
    last_offset: int


class Deciding:
    """The page of one worker; as a context, it ends what `begin` began.

    left: the offsets that the process before this one was deciding when it died; None if none.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate(_PAGE.size)
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _PAGE.size)
        self.left = self._read()
        self.done()

    def _read(self) -> Stretch | None:
        is_deciding, first, last, size, place = _PAGE.unpack(self._page[:])
        return Stretch(place[:size].decode(errors="replace"), first, last) if is_deciding else None

    def begin(self, stretch: Stretch) -> None:
        place = stretch.place.encode()
        _PAGE.pack_into(
            self._page, 0, True, stretch.first_offset, stretch.last_offset, len(place), place
        )

    def done(self) -> None:
        self._page[0] = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.done()
