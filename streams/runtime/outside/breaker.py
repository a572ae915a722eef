"""The circuit breaker of one destination: decides whether calls to it may be made.

closed   every call may be made; so many failures in a row open it
open     no call is made for a while; then it is half open
half     so many probes may be made: one failure opens it again, success of all closes it

A call counts only in the phase in which it began: one that was under way when the circuit opened
says nothing about the time after that. Times are in monotonic ms, and given as arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What may be done with a destination now."""

    CALL = "call"
    LEAVE = "leave"
    """It is left alone until `reopens_ms`."""
    WAIT = "wait"
    """Probes are under way; what comes of them is known soon."""


class Phase(Enum):
    """The value is what the metric shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """failures: in a row, that open a circuit. open_ms: how long. probes: that close it again."""

    failures: int = 5
    open_ms: int = 60_000
    probes: int = 3


class Breaker:
    """One circuit.

    period: counts phases; a call carries the one in which it began.
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
        """Note that a call was abandoned: another probe may take its place."""
        if period == self.period and self.phase is Phase.HALF_OPEN:
            self._probes -= 1

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.period += 1
        self._failures = self._probes = self._successes = 0
