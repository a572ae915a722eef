"""How old answers are: what was published when, against what was answered when.

All times are of the machine's monotonic clock, in ns. Sections are numbers; a version is one more
than the section's version before, in the order of publication.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.measuring.figures import latencies
from benchmarks.measuring.rows import Rows

SHOWN = ("p50_ms", "p99_ms", "max_ms")


class Published(NamedTuple):
    """One status record.

    due_ns:   when it was to be appended by the offered rate; it never was before that.
    acked_ns: when its transaction's commit was acknowledged. Readers see it when the markers are
              written, some milliseconds around that; for certain when the next transaction is
              acknowledged, for that one could not begin before.
    """

    section: int
    version: int
    due_ns: int
    acked_ns: int


class Answer(NamedTuple):
    """One look-up: the versions in it, and the age that it said it had."""

    sent_ns: int
    got_ns: int
    claimed_ms: int
    version_by_section: Mapping[int, int]


@dataclass(slots=True)
class Publications(Rows):
    """All records of one flow, compactly, in the order of publication."""

    WIDTH = 4

    @classmethod
    def of(cls, published: Iterable[Published]) -> Publications:
        return cls(array("q", (number for one in published for number in one)))

    def add(self, section: int, version: int, due_ns: int, acked_ns: int) -> None:
        self.numbers.extend((section, version, due_ns, acked_ns))

    def __iter__(self) -> Iterator[Published]:
        numbers = iter(self.numbers)
        return map(Published, numbers, numbers, numbers, numbers)

    def last_versions(self) -> dict[int, int]:
        """Return the newest version of each section."""
        return {one.section: one.version for one in self}

    def within(self, from_ns: int, until_ns: int) -> int:
        """Return how many were committed within [from_ns, until_ns)."""
        return sum(from_ns <= one.acked_ns < until_ns for one in self)


@dataclass(frozen=True, slots=True)
class Ages:
    """What answers were like; all lists ascending, in ms.

    from_append: from when a record was due to the arrival of the first answer that carries it.
    from_commit: the same from the acknowledged commit; 0 where the answer was there earlier.
    true_ages:   how long ago the oldest record that an answer lacks had been committed when the
                 answer arrived; 0 for one that lacks none.
    claimed:     the ages that the answers said.
    too_young:   answers that lack a record which was visible for certain, when they were asked
                 for, for longer than the age that they said: it must be none.
    unseen:      records that no answer carries.
    """

    from_append: Sequence[float]
    from_commit: Sequence[float]
    true_ages: Sequence[float]
    claimed: Sequence[float]
    too_young: int
    unseen: int


def ages_of(
    published: Iterable[Published], answers: Sequence[Answer], from_ns: int, until_ns: int
) -> Ages:
    """Compare what the sections of the answers were and what was answered.

    published: all records of a flow, in order; those of sections in no answer are left out.
    answers:   in order, of the time from `from_ns` to some moment after `until_ns`; ages are told
               of those until then.
    from_ns, until_ns: records due within are waited for.
    """
    records, certain_ns = _by_section(published, answers)
    next_unseen = dict.fromkeys(records, 0)
    from_append: list[float] = []
    from_commit: list[float] = []
    true_ages: list[float] = []
    too_young = 0
    for answer in answers:
        lacks_ns, hides_ns = answer.got_ns, answer.sent_ns
        for section, version in answer.version_by_section.items():
            of_section = records.get(section)
            if not of_section:
                continue
            count = len(of_section)
            seen = next_unseen[section]
            while seen < count and of_section[seen].version <= version:
                one = of_section[seen]
                if from_ns <= one.due_ns < until_ns:
                    from_append.append((answer.got_ns - one.due_ns) / 1e6)
                    from_commit.append(max(0, answer.got_ns - one.acked_ns) / 1e6)
                seen += 1
            next_unseen[section] = seen
            # The first record that this answer lacks, whatever answers before it had.
            lacking = max(0, version - of_section[0].version + 1)
            if lacking < count:
                lacked = of_section[lacking]
                lacks_ns = min(lacks_ns, lacked.acked_ns)
                hides_ns = min(hides_ns, certain_ns.get(lacked.acked_ns, hides_ns))
        if answer.got_ns < until_ns:
            true_ages.append((answer.got_ns - lacks_ns) / 1e6)
        too_young += answer.sent_ns - hides_ns > (answer.claimed_ms + 1) * 1_000_000
    return Ages(
        sorted(from_append),
        sorted(from_commit),
        sorted(true_ages),
        sorted(float(one.claimed_ms) for one in answers if one.got_ns < until_ns),
        too_young,
        sum(
            one.due_ns < until_ns
            for section, seen in next_unseen.items()
            for one in records[section][seen:]
        ),
    )


def _by_section(
    published: Iterable[Published], answers: Sequence[Answer]
) -> tuple[dict[int, list[Published]], dict[int, int]]:
    """Return the records of the sections in the answers, and when each acknowledgement was behind.

    The latter: of each moment of an acknowledgement the moment of the next one.
    """
    asked = {section for answer in answers for section in answer.version_by_section}
    records: dict[int, list[Published]] = defaultdict(list)
    certain_ns: dict[int, int] = {}
    acked_ns = 0
    for one in published:
        if one.acked_ns != acked_ns:
            certain_ns[acked_ns] = one.acked_ns
            acked_ns = one.acked_ns
        if one.section in asked:
            records[one.section].append(one)
    return records, certain_ns


def figures_of(ages: Ages) -> dict[str, float]:
    """Return what is told of the ages."""
    figures: dict[str, float] = {}
    for name, ordered_ms in (
        ("append_to_answer", ages.from_append),
        ("commit_to_answer", ages.from_commit),
        ("true_staleness", ages.true_ages),
        ("claimed_staleness", ages.claimed),
    ):
        found = latencies(ordered_ms)
        figures |= {f"{name}_{share}": found[share] for share in SHOWN if share in found}
    return {
        **figures,
        "claims_too_young": float(ages.too_young),
        "never_answered": float(ages.unseen),
    }
