"""What the availability view counts about itself, for `/metrics` and health."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from state.views.following.reading import ReadingCounters

SAMPLE_NS = 1_000_000_000
SAMPLES = 61


@dataclass(frozen=True, slots=True)
class ViewStatistics:
    """One reading of the view's counters; all but the last block only rise.

    lookups, misses:   sections asked for; of these, unknown to the view.
    refused, passed:   verdicts of the prefilter.
    stepped_aside:     passed because the view was too stale, or older than asked for.
    unknown_passed:    passed because the section is unknown.
    too_stale, not_yet: waits that ended without what was demanded.
    records:           records of the topic taken in, bad ones included.
    applied:           records that became the newest status of their section.
    repeated, older:   records skipped: told before; of a lower version (F79), which alarms.
    contradicted:      two records with one version and other counts, which alarms.
    removed:           tombstones.
    bad:               records skipped as unreadable or impossible, by reason.
    heartbeats, heartbeats_failed: questions for the end offsets, by their answer.
    read_errors:       errors that the consumer reported, such as a broker gone.
    readings:          times the topic was read from its beginning to its end: 1 after the start.

    miss_share:        misses among the look-ups of the last minute, 0 .. 1.
    is_ready:          the topic was read to the ends seen at start.
    staleness_ms:      of the worst partition.
    trouble:           why the view cannot follow the topic now; empty while it does.
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

    No lock: the first block is counted by whoever looks up, where one `+= 1` runs whole under
    the interpreter's lock; the rest by the view's thread alone.
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
        """Remember the look-ups so far, at most once a second."""
        if now_ns - self.samples[-1][0] >= SAMPLE_NS:
            self.samples.append((now_ns, self.lookups, self.misses))

    def miss_share(self) -> float:
        """Return the share of misses since the oldest sample."""
        _, lookups, misses = self.samples[0]
        return (self.misses - misses) / max(1, self.lookups - lookups)
