"""Questions to the availability view, and its answers."""

from dataclasses import dataclass
from typing import NamedTuple


class Availability(NamedTuple):
    """What the view knows of a section, with its age.

    free, held, largest_block, version, as_of_ms: as in SectionStatus.
    staleness_ms: the age: these counts include every status that was visible this long ago.
    stale:        the age is above the view's limit, or above the caller's.
    """

    free: int
    held: int
    largest_block: int
    version: int
    as_of_ms: int
    staleness_ms: int
    stale: bool


class TooStale(Exception):
    """The view did not become as young as the caller demanded before the deadline.

    Operator action: look at `trouble` and `staleness_ms` in the statistics. A single slow answer
    needs no action; a view that stays stale is cut off from the brokers.
    """


class NotYet(Exception):
    """The version that the caller demanded did not arrive before the deadline.

    Operator action: none for one caller. If all callers get it, see whether workers publish
    statuses.
    """


@dataclass(frozen=True, slots=True)
class Demand:
    """What a caller demands of an answer about a section.

    max_staleness_ms: highest age; None for any.
    min_version:      lowest version, such as that in the outcome of the caller's command; 0 for
                      any.
    """

    event_id: int
    section: str
    max_staleness_ms: int | None = None
    min_version: int = 0

    def __post_init__(self) -> None:
        if self.min_version < 0 or (self.max_staleness_ms or 0) < 0:
            raise ValueError("a version or an age below 0")


class Judged(NamedTuple):
    """An answer, and which demands it satisfies.

    answer: None for an unknown section.
    age_ms: age of the answer, or of the knowledge that there is no such section.
    """

    answer: Availability | None
    age_ms: int
    has_version: bool
    has_age: bool

    @property
    def is_met(self) -> bool:
        return self.has_version and self.has_age

    def refusal(self, demand: Demand) -> NotYet | TooStale:
        """Return the error for the demand that the answer does not meet."""
        where = f"section {demand.event_id}-{demand.section}"
        if not self.has_version:
            told = "unknown" if self.answer is None else f"at version {self.answer.version}"
            return NotYet(f"{where} is {told}, not at {demand.min_version}")
        limit_ms = demand.max_staleness_ms
        return TooStale(f"{where} is known as of {self.age_ms} ms ago, not {limit_ms} ms")


def judged(demand: Demand, answer: Availability | None, age: int) -> Judged:
    """Compare an answer with a demand.

    age: age of the answer in ms.
    """
    version = 0 if answer is None else answer.version
    limit_ms = demand.max_staleness_ms
    return Judged(answer, age, version >= demand.min_version, limit_ms is None or age <= limit_ms)
