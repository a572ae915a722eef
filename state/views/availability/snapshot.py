"""All sections of one event as one value, shared by every look-up until something changes.

How a snapshot is known to be the newest without a lock: whoever makes one puts it, still empty,
among the kept ones and only then reads the sections. The thread that changes a section drops the
event's snapshot after the change, and moves the clock of the partition after that. So a snapshot
that is still kept after its age was read holds everything that the age promises.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from state.domain.status import SectionStatus
from state.kafka.freshness import Freshness

# The fields of SectionStatus, then the partition, or its complement where the section is
# doubtful, then the offset of the record. A plain tuple of numbers, since the garbage collector
# stops walking those: a full collection over 100,000 named ones with a reference to their
# freshness halts a pod for 20 ms.
Known = tuple[int, int, int, int, int, int, int]

# Later than any clock.
NO_DOUBT_NS: Final = 2**63 - 1


def status_in(known: Known) -> SectionStatus:
    """Return the status of an entry."""
    return SectionStatus(*known[:5])


class EventSnapshot:
    """Sections of one event, in the order of their names.

    known_by_section: newest status, partition and offset of each; not changed once filled.
    numbers:          of the partition of each, as in its entry.
    partitions:       those of the sections that are sure, once each.
    derived:          what callers computed from it, such as encoded answers, by a key of theirs;
                      they bound it, and it goes with the snapshot.
    former:           the snapshot before, for what can be taken over from it; mostly one section
                      changes. It has no former one itself.
    """

    __slots__ = (
        "_all_partitions",
        "_doubtful_ns_by_section",
        "_surest_ns",
        "_whole",
        "derived",
        "event_id",
        "former",
        "known_by_section",
        "numbers",
        "partitions",
    )

    def __init__(self, event_id: int) -> None:
        self.event_id = event_id
        self._whole: EventSnapshot | None = None
        self.numbers: list[int] = []
        self.partitions: tuple[Freshness, ...] = ()
        self.known_by_section: dict[str, Known] = {}
        self.derived: dict[Any, Any] = {}
        self.former: EventSnapshot | None = None

    def fill(
        self,
        known_by_section: Mapping[str, Known],
        partitions: Sequence[Freshness],
        doubtful_ns_by_section: Mapping[str, int],
        former: "EventSnapshot | None" = None,
    ) -> Self:
        """Take sections of whatever order, all partitions, and since when sections are doubtful.

        doubtful_ns_by_section: one for each section that is marked so in its entry.
        former:                 any older snapshot of the event; makes it cheaper.
        """
        self._all_partitions = partitions
        self._doubtful_ns_by_section = doubtful_ns_by_section
        is_like = former is not None and former.known_by_section.keys() == known_by_section.keys()
        names = former.known_by_section if former and is_like else sorted(known_by_section)
        known = {name: known_by_section[name] for name in names}
        numbers = self.numbers = [entry[5] for entry in known.values()]
        if former and is_like and former.numbers == numbers and not doubtful_ns_by_section:
            self.partitions = former.partitions
        else:
            sure = sorted({number for number in numbers if number >= 0})
            self.partitions = tuple(partitions[number] for number in sure)
        doubtful = [
            doubtful_ns_by_section[name] for name in doubtful_ns_by_section if name in known
        ]
        self._surest_ns = min(doubtful, default=NO_DOUBT_NS)
        if former is not None:
            if former.former is not None:
                # What was computed from it names it: it would stay until the garbage is collected.
                former.former.derived.clear()
            former.former = None
        self.former = former
        # Last: whoever sees sections sees their age.
        self.known_by_section = known
        return self

    @property
    def whole(self) -> "EventSnapshot":
        """Return the snapshot of the whole event, of which this is all or a part."""
        return self if self._whole is None else self._whole

    def part(
        self, sections: Iterable[str], former: "EventSnapshot | None" = None
    ) -> "EventSnapshot":
        """Return a snapshot of those of these sections that exist; the newest as long as this.

        former: the same part of an older one.
        """
        known = self.known_by_section
        wanted = {name: known[name] for name in sections if name in known}
        part = EventSnapshot(self.event_id)
        part._whole = self.whole
        return part.fill(wanted, self._all_partitions, self._doubtful_ns_by_section, former)

    def known_ns(self) -> int:
        """Return the clock up to which all sections are sure to be right.

        That clock moves on and the sections do not: whoever reads it asks afterwards whether the
        snapshot is the newest still.
        """
        surest_ns = self._surest_ns
        for partition in self.partitions:
            if partition.known_ns < surest_ns:  # noqa: PLR1730 (at every look-up, and twice as fast)
                surest_ns = partition.known_ns
        return surest_ns

    def position_by_partition(self) -> dict[int, int]:
        """Return the highest offset among the event's sections on each partition.

        The same in every process that knows the same records.
        """
        positions: dict[int, int] = {}
        for *_, partition, offset in self.known_by_section.values():
            number = partition if partition >= 0 else ~partition
            if offset > positions.get(number, -1):
                positions[number] = offset
        return positions
