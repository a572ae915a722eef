"""Records of section-status in; the newest status of every section, and how sure it is, out.

How sure: a partition's `known_ns` is the latest clock at which somebody asked the broker for the
partition's end and everything before the answered end has been taken in since. Whatever was
visible at `known_ns` is therefore in here. The clock is read before the question is sent, so
nothing that delays question, answer or records can make a status look fresher than it is.

A record that cannot be read makes its section doubtful: the counts may have changed with it, so
they stay, but their age runs from the last time before it, until a readable record follows.
"""

import logging
from collections import deque
from collections.abc import Callable
from sys import intern
from typing import NamedTuple

from serdes.decoding import (
    UNKNOWN_SCHEMA,
    Decoded,
    Headers,
    Tombstone,
    TopicDecoder,
    Undecodable,
    UnknownRecordType,
    UnknownSchema,
    Verdict,
)
from state.domain.keys import SECTION_ID, partition_of, section_key, split_section_key
from state.domain.status import SectionStatus, fault_of, newer_of
from state.stores.view_statistics import ViewCounters

log = logging.getLogger(__name__)

# Reported for what was never known: as good as for ever, and still a number.
NEVER_MS = 2**31 - 1
_MS = 1_000_000

# Unanswered ends kept for a partition: 10 s and more of lag without losing the oldest.
_PENDING_MAX = 64

# Reasons of bad records beside those of serdes.decoding.
BAD_KEY = "BAD_KEY"
KEY_MISMATCH = "KEY_MISMATCH"
WRONG_PARTITION = "WRONG_PARTITION"
IMPOSSIBLE_COUNTS = "IMPOSSIBLE_COUNTS"
UNKNOWN_RECORD_TYPE = "UNKNOWN_RECORD_TYPE"


class LogShortened(Exception):
    """A partition lost records that it had: the topic was recreated, or a leader truncated it.

    Operator action: none; the view reads the topic from its beginning again.
    """


class _Bad(Exception):
    """A record to be counted and skipped."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Change(NamedTuple):
    """A section whose newest status changed; None: its tombstone was read."""

    event_id: int
    section: str
    status: SectionStatus | None


class Freshness:
    """When one partition was last known to be read to its end.

    known_ns:       as told above, in ns of the view's clock.
    has_been_known: since this reading of the topic began.
    position:       offset of the next record to take in.
    """

    __slots__ = ("_end", "_pending", "has_been_known", "known_ns", "partition", "position")

    def __init__(self, partition: int, known_ns: int) -> None:
        self.partition = partition
        self.known_ns = known_ns
        self.position = 0
        self.has_been_known = False
        self._end = 0
        self._pending: deque[tuple[int, int]] = deque()

    def ends_at(self, end: int, asked_ns: int) -> None:
        """Note the end offset that a question asked at `asked_ns` brought.

        Raises LogShortened where the end was further once.
        """
        if end < self._end:
            raise LogShortened(f"partition {self.partition} ended at {self._end}, now at {end}")
        self._end = end
        if end <= self.position:
            self._known_at(asked_ns)
        elif len(self._pending) < _PENDING_MAX:
            self._pending.append((end, asked_ns))

    def reached(self, position: int) -> None:
        """Note that everything before `position` was taken in.

        Raises LogShortened where that was so for a higher one before.
        """
        if position < self.position:
            raise LogShortened(
                f"partition {self.partition} was read to {self.position}, now at {position}"
            )
        self.position = position
        pending = self._pending
        while pending and pending[0][0] <= position:
            self._known_at(pending.popleft()[1])

    def _known_at(self, asked_ns: int) -> None:
        self.known_ns = max(self.known_ns, asked_ns)
        self.has_been_known = True


# The fields of SectionStatus, then the partition, or its complement where the section is doubtful.
# A plain tuple of numbers, since the garbage collector stops walking those: a full collection
# over 100,000 named ones with a reference to their freshness halts a pod for 20 ms.
Known = tuple[int, int, int, int, int, int]


def status_in(known: Known) -> SectionStatus:
    """Return the status of an entry."""
    return SectionStatus(*known[:5])


class Contents:
    """One reading of the topic, from its beginning.

    by_event: newest status by event and section. Changed by one thread; a look-up of another
              finds the former entry or the new one.
    is_published: look-ups are answered from here.
    learn:    asks the registry for an unknown schema id and says whether the decoder knows it now.
    """

    def __init__(
        self,
        partitions: int,
        decoder: TopicDecoder,
        learn: Callable[[int], bool],
        counters: ViewCounters,
        now_ns: int,
    ) -> None:
        self.by_event: dict[int, dict[str, Known]] = {}
        self.is_published = False
        never_ns = now_ns - NEVER_MS * _MS
        self.partitions = tuple(Freshness(number, never_ns) for number in range(partitions))
        self._never_ns = never_ns
        self._doubtful_ns: dict[tuple[int, str], int] = {}
        self._decoder = decoder
        self._learn = learn
        self._counters = counters

    def is_complete(self) -> bool:
        """Say whether each partition was read to the first end that was asked for."""
        return all(partition.has_been_known for partition in self.partitions)

    def known_ns(self, event_id: int, section: str, known: Known | None) -> int:
        """Return the clock up to which an entry, or that there is none, is sure to be right."""
        if known is None:
            key = section_key(event_id, section)
            return self.partitions[partition_of(key, len(self.partitions))].known_ns
        partition = known[5]
        if partition >= 0:
            return self.partitions[partition].known_ns
        # The doubt may have ended since the entry was read: the caller holds the old counts.
        return self._doubtful_ns.get((event_id, section), self._never_ns)

    def apply(
        self, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> Change | None:
        """Take in one record and return what it changed. Never raises on bad bytes."""
        self._counters.records += 1
        verdict = self._verdict(value, headers)
        try:
            if isinstance(verdict, Decoded):
                return self._tell(self.partitions[partition], key, verdict)
            if isinstance(verdict, Tombstone):
                return self._remove(key)
            raise _bad(verdict)
        except _Bad as bad:
            self._skip(self.partitions[partition], key, bad)
            return None

    def _verdict(self, value: bytes | None, headers: Headers) -> Verdict:
        verdict = self._decoder.decode(value, headers)
        if isinstance(verdict, UnknownSchema) and self._learn(verdict.schema_id):
            return self._decoder.decode(value, headers)
        return verdict

    def _tell(self, freshness: Freshness, key: bytes | None, told: Decoded) -> Change | None:
        event_id, name, free, as_of_ms, version, held, largest_block = told.fields
        number = freshness.partition
        if key != b"%d-%s" % (event_id, name):
            raise _Bad(KEY_MISMATCH, f"{event_id}-{name!r} under {key!r}")
        status = SectionStatus(version, as_of_ms, free, held, largest_block)
        if fault := fault_of(status):
            raise _Bad(IMPOSSIBLE_COUNTS, f"{key!r}: {fault}")
        section = name.decode()
        known = self.by_event.get(event_id, {}).get(section)
        if known is None:
            if SECTION_ID.fullmatch(name) is None:
                raise _Bad(BAD_KEY, repr(key))
        elif number not in {known[5], ~known[5]}:
            # Hashed only in this dispute: a hash for each of 100,000 sections delays the start.
            if partition_of(key, len(self.partitions)) != number:
                raise _Bad(WRONG_PARTITION, f"{key!r} on {number}")
            # The entry came from where it does not belong, so it says nothing.
            self._counters.bad[WRONG_PARTITION] += 1
        elif not self._is_news(status_in(known), status):
            if known[:5] == status:
                self._put(event_id, section, status, number)
            return None
        # Events share the names of their sections, mostly.
        self._put(event_id, intern(section), status, number)
        self._counters.applied += 1
        return Change(event_id, section, status)

    def _put(self, event_id: int, section: str, status: SectionStatus, partition: int) -> None:
        self.by_event.setdefault(event_id, {})[section] = (*status, partition)
        if self._doubtful_ns:
            self._doubtful_ns.pop((event_id, section), None)

    def _is_news(self, known: SectionStatus, status: SectionStatus) -> bool:
        counters = self._counters
        if known == status:
            counters.repeated += 1
            return False
        if known.version == status.version > 0 and known[2:] != status[2:]:
            counters.contradicted += 1
        if newer_of(known, status) is known:
            counters.older += 1
            return False
        return True

    def _remove(self, key: bytes | None) -> Change | None:
        parts = None if key is None else split_section_key(key)
        if parts is None:
            raise _Bad(BAD_KEY, f"a tombstone of {key!r}")
        self._counters.removed += 1
        event_id, section = parts
        sections = self.by_event.get(event_id, {})
        if sections.pop(section, None) is None:
            return None
        if not sections:
            del self.by_event[event_id]
        self._doubtful_ns.pop((event_id, section), None)
        return Change(event_id, section, None)

    def _skip(self, freshness: Freshness, key: bytes | None, bad: _Bad) -> None:
        self._counters.bad[bad.reason] += 1
        count = self._counters.bad[bad.reason]
        # Powers of two: a flood of bad records is no flood of lines.
        if count & (count - 1) == 0:
            log.warning("skipped a status: %s (%d so far): %s", bad.reason, count, bad.detail)
        parts = None if key is None else split_section_key(key)
        if parts is None:
            return
        event_id, section = parts
        known = self.by_event.get(event_id, {}).get(section)
        if known is not None and known[5] == freshness.partition:
            # In this order: whoever reads the mark finds the time.
            self._doubtful_ns[event_id, section] = freshness.known_ns
            self.by_event[event_id][section] = (*status_in(known), ~known[5])


def _bad(verdict: Undecodable | UnknownSchema | UnknownRecordType) -> _Bad:
    if isinstance(verdict, Undecodable):
        return _Bad(verdict.reason, verdict.detail)
    if isinstance(verdict, UnknownSchema):
        return _Bad(UNKNOWN_SCHEMA, f"schema {verdict.schema_id}")
    return _Bad(UNKNOWN_RECORD_TYPE, verdict.detail)
