"""What the availability view counts, for `/metrics` and the health page."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from state.views.following.reading import ReadingCounters

SAMPLE_NS = 1_000_000_000
SAMPLES = 61


@dataclass(frozen=True, slots=True)
class ViewStatistics:
    """The view's counters at one moment; all but the last block only rise.

    lookups, misses:   sections asked for; those of them that the view did not know.
    refused, passed:   holds that the prefilter refused; those that it let through.
    stepped_aside:     holds let through because the view was too stale, or below the version.
    unknown_passed:    holds let through because the section is unknown.
    too_stale, not_yet: waits that ended before the demanded age, or the demanded version.
    records:           records of the topic taken in, bad ones included.
    applied:           records that became the newest status of their section.
    repeated:          records skipped because the same status is known already.
    older:             records skipped because they have a lower version (F79), which alarms.
    contradicted:      records with the version of a known status and other counts, which alarms.
    removed:           tombstones.
    bad:               records skipped as unreadable or impossible, by reason.
    heartbeats, heartbeats_failed: questions for the end offsets, by their answer.
    read_errors:       errors that the consumer reported, such as a lost broker.
    readings:          how often the topic was read to its end: 1 after the start.

    miss_share:        share of misses in the look-ups of the last minute, 0 .. 1.
    is_ready:          the view has read the topic to the ends that it had at start.
    staleness_ms:      age of the partition with the highest age.
    trouble:           why the view cannot follow the topic now; empty while it can.
    """

    lookups: int
    misses: int
    refused: int
    passed: int
    stepped_aside: int
    unknown_passed: int
    too_stale: int
    not_yet: int
    records: int
    applied: int
    repeated: int
    older: int
    contradicted: int
    removed: int
    bad: Mapping[str, int]
    heartbeats: int
    heartbeats_failed: int
    read_errors: int
    readings: int
    miss_share: float
    events: int
    sections: int
    is_ready: bool
    staleness_ms: int
    trouble: str


@dataclass(slots=True)
class ViewCounters(ReadingCounters):
    """The counters themselves, named as in ViewStatistics.

    They need no lock. Threads that look up count the first block, where the interpreter's lock
    keeps each `+= 1` whole; only the view's thread counts the rest.
    """

    lookups: int = 0
    misses: int = 0
    refused: int = 0
    passed: int = 0
    stepped_aside: int = 0
    unknown_passed: int = 0
    too_stale: int = 0
    not_yet: int = 0

    applied: int = 0
    repeated: int = 0
    older: int = 0
    contradicted: int = 0
    removed: int = 0
    # (clock, look-ups, misses), a second apart.
    samples: deque[tuple[int, int, int]] = field(
        default_factory=lambda: deque([(0, 0, 0)], maxlen=SAMPLES)
    )

    def sample(self, now_ns: int) -> None:
        """Remember how many look-ups and misses there were, at most once a second."""
        if now_ns - self.samples[-1][0] >= SAMPLE_NS:
            self.samples.append((now_ns, self.lookups, self.misses))

    def miss_share(self) -> float:
        """Return the share of misses in the look-ups since the oldest sample."""
        _, lookups, misses = self.samples[0]
        return (self.misses - misses) / max(1, self.lookups - lookups)
