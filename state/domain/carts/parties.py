"""A party of a cart, which may be parted: where its seats are asked for, and in which order.

Each question is a part of the cart, a hold of one section. First one section after the other, in
the order in which they are named, is asked for all seats, in pieces where they cannot be adjacent.
Where none has room for all of them, each is asked for as many of the rest as it can give, and the
last one for all of the rest. So whether a party sits is the last section's word; and whichever
seats become free meanwhile, the answers alone decide what is asked next.
"""

from __future__ import annotations

from typing import NamedTuple


class Party(NamedTuple):
    """Some of what a cart wants; fields in the order of the Avro record.

    sections: where it may sit, each once, at least one.
    parts:    numbers of the parts that were asked for it, in that order.
    """

    sections: tuple[bytes, ...]
    parts: tuple[int, ...]

    def next_section(self) -> bytes | None:
        """Return whom to ask when the last one asked has not given all; None for nobody."""
        count, asked = len(self.sections), len(self.parts)
        is_over = count == 1 or asked == 2 * count
        return None if is_over else self.sections[asked % count]

    def takes_fewer(self, number: int) -> bool:
        """Say whether a part is for as many as can be had; number: one of `parts`."""
        count = len(self.sections)
        return count <= self.parts.index(number) < 2 * count - 1
