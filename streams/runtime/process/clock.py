"""This worker's clock beside the brokers'.

A broker's clock is read from the append time in its answer to a tick, which lies between the
moments at which the tick was sent and acknowledged. So a reading is a range: an answer that took
long leaves a wide range, and counts only where all of the range is right, or all of it wrong.

The majority of clocks decides whose clock is wrong. With one broker there is no majority. While
the worker runs, it can tell a jump of its own clock: the monotonic clock beside it never jumps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

LIMIT_MS = 5_000
"""How far apart two clocks may be; lapses wait for the later one (`streams.folding.log_time`)."""

_STEP_MS = 1_000
_FRESH_S = 60.0


class OwnClock:
    """The clock of this process, in Unix ms.

    shift_file: tests only; a file that holds how many ms the clock is wrong.
    """

    def __init__(
        self,
        shift_file: Path | None = None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shift_file = shift_file
        self._wall = wall
        self.monotonic_s = monotonic

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> OwnClock:
        name = environ.get("FAILPOINT_CLOCK", "")
        return cls(Path(name) if name else None)

    def now_ms(self) -> int:
        shift_ms = (
            int(self._shift_file.read_text(encoding="utf-8"))
            if self._shift_file is not None
            else 0
        )
        return int(self._wall() * 1000) + shift_ms

    def jumps_ms(self) -> int:
        """Return this clock's lead over the monotonic one, which only its jumps change."""
        return self.now_ms() - int(self.monotonic_s() * 1000)


@dataclass(frozen=True, slots=True)
class Sent:
    """A tick on its way: what our clocks said when it was sent."""

    at_ms: int
    monotonic_s: float
    jumps_ms: int


class Reading(NamedTuple):
    """A broker's clock minus ours: between least_ms and most_ms.

    taken_s:  when it was read, on the monotonic clock.
    jumps_ms: `jumps_ms` of our own clock when the tick was sent.
    """

    least_ms: int
    most_ms: int
    taken_s: float
    jumps_ms: int

    @property
    def agrees(self) -> bool:
        return self.least_ms >= -LIMIT_MS and self.most_ms <= LIMIT_MS

    @property
    def differs(self) -> bool:
        return self.least_ms > LIMIT_MS or self.most_ms < -LIMIT_MS

    @property
    def offset_s(self) -> float:
        return (self.least_ms + self.most_ms) / 2000


class Verdict(NamedTuple):
    """own: what is wrong with our own clock, or empty; off: brokers whose clock is wrong."""

    own: str
    off: dict[str, float]


class ClockWatch:
    """The last reading of each broker's clock, and what they say together."""

    def __init__(self, own: OwnClock) -> None:
        self.own = own
        self._readings: dict[str, Reading] = {}
        self._jumped: set[str] = set()

    def send(self) -> Sent:
        return Sent(self.own.now_ms(), self.own.monotonic_s(), self.own.jumps_ms())

    def note(self, broker: str, sent: Sent, appended_ms: int) -> None:
        """Take in the append time of a tick that has just been acknowledged."""
        now_s = self.own.monotonic_s()
        took_ms = int((now_s - sent.monotonic_s) * 1000) + 1
        if abs(self.own.jumps_ms() - sent.jumps_ms) >= _STEP_MS:
            # Our clock jumped while the tick was on its way: compared with the time of sending,
            # the jump would seem to be the broker's.
            return
        reading = Reading(
            appended_ms - sent.at_ms - took_ms, appended_ms + 1 - sent.at_ms, now_s, sent.jumps_ms
        )
        before = self._readings.get(broker)
        if reading.agrees:
            self._jumped.discard(broker)
        elif reading.differs and before is not None and before.agrees:
            if abs(reading.jumps_ms - before.jumps_ms) < _STEP_MS:
                self._jumped.add(broker)
        elif not reading.differs:
            # The answer took so long that the clock may be right or wrong.
            return
        self._readings[broker] = reading

    def forget(self) -> None:
        """Forget all readings; called when this process may have stood still since."""
        self._readings.clear()
        self._jumped.clear()

    def offsets_s(self) -> dict[str, float]:
        """Return each broker's clock minus ours, in seconds."""
        return {broker: reading.offset_s for broker, reading in self._readings.items()}

    def verdict(self, brokers: int) -> Verdict:
        """Say whose clock is wrong; `brokers` is how many there are."""
        since_s = self.own.monotonic_s() - _FRESH_S
        fresh = {b: r for b, r in self._readings.items() if r.taken_s >= since_s}
        off = {b: r.offset_s for b, r in fresh.items() if r.differs}
        agreeing = sum(r.agrees for r in fresh.values())
        if not off or len(off) <= agreeing or (brokers == 1 and off.keys() <= self._jumped):
            return Verdict("", off)
        asked = ", ".join(f"{broker} {offset:+.1f} s" for broker, offset in sorted(off.items()))
        return Verdict(asked, off)

    def silent(self, brokers: set[str]) -> set[str]:
        """Return the brokers of whose clock nothing fresh is known."""
        since_s = self.own.monotonic_s() - _FRESH_S
        return {
            b for b in brokers if b not in self._readings or self._readings[b].taken_s < since_s
        }
