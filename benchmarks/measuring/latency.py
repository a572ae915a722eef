"""When each command was due and when its committed outcome was seen, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.measuring.rows import Rows


class Seen(NamedTuple):
    """One committed outcome. Times are of the machine's monotonic clock, in ns.

    sent_ns: when the command was due by the offered rate, even if it was sent later.
    """

    partition: int
    sent_ns: int
    seen_ns: int


@dataclass(slots=True)
class Sightings(Rows):
    """All outcomes that one load saw, compactly."""

    WIDTH = 3

    def add(self, partition: int, sent_ns: int, seen_ns: int) -> None:
        """Append one outcome."""
        self.numbers.extend((partition, sent_ns, seen_ns))

    def __iter__(self) -> Iterator[Seen]:
        numbers = iter(self.numbers)
        return map(Seen, numbers, numbers, numbers)

    def ordered_ms(self, from_ns: int, until_ns: int) -> list[float]:
        """Return the latencies of commands due within [from_ns, until_ns), ascending, in ms."""
        return sorted(
            (one.seen_ns - one.sent_ns) / 1e6 for one in self if from_ns <= one.sent_ns < until_ns
        )

    def back_after_s(self, moment_ns: int) -> dict[int, float]:
        """Return, by partition, the time from a moment to the first outcome of a later command.

        A partition without one is missing.
        """
        first: dict[int, int] = {}
        for partition, sent_ns, seen_ns in self:
            if sent_ns >= moment_ns:
                first[partition] = min(seen_ns, first.get(partition, seen_ns))
        return {partition: (seen - moment_ns) / 1e9 for partition, seen in first.items()}
