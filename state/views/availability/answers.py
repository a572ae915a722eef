"""What is asked of the availability view, what it answers, and the clock that ages are told by."""

import time
from dataclasses import dataclass
from typing import NamedTuple

_MS = 1_000_000

# CLOCK_MONOTONIC stands still while a machine is suspended: ages would come out too small.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Availability(NamedTuple):
    """What is known of a section, and of what age.

    free, held, largest_block, version, as_of_ms: as in SectionStatus.
    staleness_ms: every status that was visible this long ago, or longer, is in these counts.
    stale:        older than the view's limit, or than the caller demanded.
    """

    free: int
    held: int
    largest_block: int
    version: int
    as_of_ms: int
    staleness_ms: int
    stale: bool


class TooStale(Exception):
    """The view could not be brought to the age that was demanded before the deadline.

    Operator action: look at `trouble` and `staleness_ms` in the statistics; one slow answer is
    none, a view that stays stale is cut off from the brokers.
    """


class NotYet(Exception):
    """The version that was demanded had not arrived before the deadline.

    Operator action: none for one caller; for all of them, see whether workers publish statuses.
    """


@dataclass(frozen=True, slots=True)
class Demand:
    """What an answer about a section must satisfy.

    max_staleness_ms: None for any age.
    min_version:      the version in the outcome of the caller's own command; 0 for any.
    """

    event_id: int
    section: str
    max_staleness_ms: int | None = None
    min_version: int = 0

    def __post_init__(self) -> None:
        if self.min_version < 0 or (self.max_staleness_ms or 0) < 0:
            raise ValueError("a version or an age below 0")


def boot_clock_ns() -> int:
    """Return a clock that never goes back, and that runs while process and machine sleep."""
    return time.clock_gettime_ns(_CLOCK)


def age_ms(known_ns: int, now_ns: int) -> int:
    """Return an age rounded up: it is a bound."""
    return (now_ns - known_ns + _MS - 1) // _MS


class Judged(NamedTuple):
    """An answer, and which demands it satisfies.

    answer: None for an unknown section.
    age_ms: of the answer, or of the knowledge that there is none.
    """

    answer: Availability | None
    age_ms: int
    has_version: bool
    has_age: bool

    @property
    def is_met(self) -> bool:
        return self.has_version and self.has_age

    def refusal(self, demand: Demand) -> NotYet | TooStale:
        """Return the error that says which demand is not met."""
        where = f"section {demand.event_id}-{demand.section}"
        if not self.has_version:
            told = "unknown" if self.answer is None else f"at version {self.answer.version}"
            return NotYet(f"{where} is {told}, not at {demand.min_version}")
        limit_ms = demand.max_staleness_ms
        return TooStale(f"{where} is known as of {self.age_ms} ms ago, not {limit_ms} ms")


def judged(demand: Demand, answer: Availability | None, age: int) -> Judged:
    """Return how an answer of this age, in ms, meets a demand."""
    version = 0 if answer is None else answer.version
    limit_ms = demand.max_staleness_ms
    return Judged(answer, age, version >= demand.min_version, limit_ms is None or age <= limit_ms)
