"""Many rows of whole numbers, compactly in memory and in a file."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Rows:
    """Rows of signed 64-bit numbers, one behind the other.

    WIDTH: how many numbers one row has.
    """

    WIDTH: ClassVar[int]

    numbers: array[int]

    @classmethod
    def none(cls) -> Self:
        """Return an empty list to add to."""
        return cls(array("q"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        numbers = array("q")
        numbers.frombytes(path.read_bytes())
        return cls(numbers)

    def write(self, path: Path) -> None:
        """Write a file that `read` takes, whole or not at all."""
        written = path.with_suffix(".new")
        with written.open("wb") as file:
            self.numbers.tofile(file)
        written.replace(path)

    def __len__(self) -> int:
        return len(self.numbers) // self.WIDTH
