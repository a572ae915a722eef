"""All sections of one event as one value, which all look-ups share until a section changes.

A look-up knows without a lock that its snapshot is the newest. The thread that makes a snapshot
first puts it, still empty, among the kept ones, and then reads the sections. The thread that
changes a section first changes it, then drops the event's kept snapshot, then moves the clock of
the partition. So a snapshot that is still kept after its age was read includes every change that
the age promises.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from state.domain.status import SectionStatus
from state.kafka.freshness import Freshness

# An entry: the fields of SectionStatus, then the partition (its complement `~partition` where the
# section is doubtful), then the offset of the record. A plain tuple of numbers, since the garbage
# collector soon skips such tuples. A full collection over 100,000 named tuples with a reference to
# their Freshness halts a pod for 20 ms.
Known = tuple[int, int, int, int, int, int, int]
PARTITION: Final = 5
OFFSET: Final = 6

# Later than any clock.
NO_DOUBT_NS: Final = 2**63 - 1


def status_in(known: Known) -> SectionStatus:
    """Return the status in an entry."""
    return SectionStatus(*known[:5])


class EventSnapshot:
    """Sections of one event, in the order of their names.

    known_by_section: entry of each section; not changed once filled.
    numbers:          partition number of each section, as in its entry.
    partitions:       partitions of the sections that are not doubtful, each once.
    derived:          values that callers computed from this snapshot, such as encoded answers,
                      under keys of their own. The callers bound it.
    former:           the snapshot before this one, or None. Mostly one section has changed since,
                      so callers take over what they derived of the others. Its own `former` is
                      None.
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
        """Fill this empty snapshot, and return it.

        known_by_section:       entries, in any order.
        partitions:             all partitions of the topic.
        doubtful_ns_by_section: up to when each doubtful section was sure, by the view's clock.
        former:                 any older snapshot of the event, which makes the filling cheaper.
        """
        self._all_partitions = partitions
        self._doubtful_ns_by_section = doubtful_ns_by_section
        is_like = former is not None and former.known_by_section.keys() == known_by_section.keys()
        names = former.known_by_section if former and is_like else sorted(known_by_section)
        known = {name: known_by_section[name] for name in names}
        numbers = self.numbers = [entry[PARTITION] for entry in known.values()]
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
                # The derived values refer to their snapshot: uncleared, such a circle would stay
                # in memory until the garbage collector runs.
                former.former.derived.clear()
            former.former = None
        self.former = former
        # Last: a thread that sees the sections finds their age too.
        self.known_by_section = known
        return self

    @property
    def whole(self) -> "EventSnapshot":
        """Return the snapshot of the whole event: this one, or the one that has this as a part."""
        return self if self._whole is None else self._whole

    def part(
        self, sections: Iterable[str], former: "EventSnapshot | None" = None
    ) -> "EventSnapshot":
        """Return a snapshot of those of the named sections that exist.

        The part is the newest as long as this snapshot is.

        former: the same part of an older snapshot.
        """
        known = self.known_by_section
        wanted = {name: known[name] for name in sections if name in known}
        part = EventSnapshot(self.event_id)
        part._whole = self.whole
        return part.fill(wanted, self._all_partitions, self._doubtful_ns_by_section, former)

    def known_ns(self) -> int:
        """Return the time, by the view's clock, up to which all sections are surely the newest.

        The clocks of the partitions move on, but the sections in here do not. So a caller must ask
        afterwards whether this snapshot is still the newest.
        """
        surest_ns = self._surest_ns
        for partition in self.partitions:
            if partition.known_ns < surest_ns:  # noqa: PLR1730 (at every look-up, and twice as fast)
                surest_ns = partition.known_ns
        return surest_ns

    def position_by_partition(self) -> dict[int, int]:
        """Return the highest offset of the event's sections on each partition.

        Every process that has read the same records returns the same.
        """
        positions: dict[int, int] = {}
        for *_, partition, offset in self.known_by_section.values():
            number = partition if partition >= 0 else ~partition
            if offset > positions.get(number, -1):
                positions[number] = offset
        return positions
