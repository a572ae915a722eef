"""The circuit breaker of one destination: decides whether calls to it may be made.

closed   every call may be made; `failures` in a row open the circuit
open     no call is made for `open_ms`; then the circuit is half open
half     `probes` calls may be made: one failure opens the circuit, success of all closes it

A call counts only in the phase in which it began: a call that was under way when the circuit
opened tells nothing about the time after that. Times are arguments, in monotonic ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """Whether a destination may be called now."""

    CALL = "call"
    LEAVE = "leave"
    """The destination may not be called before `reopens_ms`."""
    WAIT = "wait"
    """All probes are under way; they will decide soon."""


class Phase(Enum):
    """The phase of a circuit; the value is that of the metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """When a circuit changes its phase.

    failures: how many failures in a row open it. open_ms: how long it stays open. probes: how many
    successes close it again.
    """

    failures: int = 5
    open_ms: int = 60_000
    probes: int = 3


class Breaker:
    """One circuit.

    period: number of the present phase. A call remembers the period in which it began.
    """

    def __init__(self, rules: Rules) -> None:
        self.phase = Phase.CLOSED
        self.period = 0
        self.reopens_ms = 0
        self._rules = rules
        self._failures = 0
        self._probes = 0
        self._successes = 0

    def verdict(self, now_ms: int) -> Verdict:
        if self.phase is Phase.OPEN:
            if now_ms < self.reopens_ms:
                return Verdict.LEAVE
            self._enter(Phase.HALF_OPEN)
        if self.phase is Phase.HALF_OPEN and self._probes >= self._rules.probes:
            return Verdict.WAIT
        return Verdict.CALL

    def left_ms(self, now_ms: int) -> int:
        """Return for how long no call may be made, from now on; 0 where one may."""
        return max(0, self.reopens_ms - now_ms) if self.phase is Phase.OPEN else 0

    def begin(self) -> int:
        """Note that a call begins; return its period."""
        if self.phase is Phase.HALF_OPEN:
            self._probes += 1
        return self.period

    def succeeded(self, period: int) -> None:
        if period != self.period:
            return
        self._failures = 0
        self._successes += 1
        if self.phase is Phase.HALF_OPEN and self._successes >= self._rules.probes:
            self._enter(Phase.CLOSED)

    def failed(self, period: int, now_ms: int) -> None:
        if period != self.period:
            return
        self._failures += 1
        if self.phase is Phase.HALF_OPEN or self._failures >= self._rules.failures:
            self.reopens_ms = now_ms + self._rules.open_ms
            self._enter(Phase.OPEN)

    def given_up(self, period: int) -> None:
        """Note that a call was abandoned, so another probe may take its place."""
        if period == self.period and self.phase is Phase.HALF_OPEN:
            self._probes -= 1

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.period += 1
        self._failures = self._probes = self._successes = 0
