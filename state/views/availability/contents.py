"""Records of section-status in; the newest status of every section, and its age, out.

The age of a status is that of its partition; see `freshness`. A record that cannot be read makes
its section doubtful, since the record may have told other counts. The known counts stay, but their
age counts from the moment before that record, until a readable record of the section follows. The
knowledge that a section does not exist ages in the same way.
"""

import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from operator import itemgetter
from sys import intern
from typing import Final, NamedTuple

from confluent_kafka import Message

from serdes.avro.codegen import Decode
from serdes.avro.refused import Refused
from serdes.decoding import Decoded, Headers, Tombstone, TopicDecoder
from serdes.wire import HEADER_BYTES
from state.domain.keys import SECTION_ID, partition_of, section_key, split_section_key
from state.domain.status import SectionStatus, fault_of, is_other_history, newer_of
from state.kafka.freshness import Freshness
from state.kafka.message_headers import headers_of
from state.views.availability.snapshot import OFFSET, PARTITION, EventSnapshot, Known, status_in
from state.views.availability.statistics import ViewCounters
from state.views.following.ages import never_known_ns
from state.views.following.reading import Learn, Reading, Records
from state.views.following.reading import fault_of as fault_of_record

log = logging.getLogger(__name__)

_MS = 1_000_000

# How many records of a partition are remembered after newer records of their sections came.
RECENT_MAX = 1_024

# The content of a record: event, section, and the fields of the status.
Told = tuple[int, str, list[int]]

# A remembered record: offset, event, section, and the entry that the record became.
_Recent = tuple[int, int, str, Known]

# Why a record is bad, beside the reasons of serdes.decoding.
BAD_KEY = "BAD_KEY"
KEY_MISMATCH = "KEY_MISMATCH"
WRONG_PARTITION = "WRONG_PARTITION"
IMPOSSIBLE_COUNTS = "IMPOSSIBLE_COUNTS"


class _Bad(Exception):
    """A record to be counted and skipped."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Change(NamedTuple):
    """A section whose newest status changed.

    status: None where a tombstone removed the section.
    """

    event_id: int
    section: str
    status: SectionStatus | None


class Contents(Reading):
    """One reading of the topic, from its beginning.

    by_event: newest status by event and section. One thread changes it; a look-up in another
              thread finds the former entry or the new one.
    kept_by_event: snapshots that somebody asked for, and whose event has not changed since.
    topic_id: the brokers' id of the topic.
    """

    def __init__(
        self,
        partitions: int,
        decoder: TopicDecoder,
        learn: Learn,
        counters: ViewCounters,
        now_ns: int,
    ) -> None:
        self.by_event: dict[int, dict[str, Known]] = {}
        self.kept_by_event: dict[int, EventSnapshot] = {}
        self._former_by_event: dict[int, EventSnapshot] = {}
        self.topic_id = ""
        self._never_ns = never_known_ns(now_ns)
        super().__init__(partitions, self._never_ns)
        self._recent: list[deque[_Recent]] = [deque(maxlen=RECENT_MAX) for _ in range(partitions)]
        self._doubtful_ns: dict[tuple[int, str], int] = {}
        # By event: sections of which only unreadable records came, and since when that is so.
        self._unreadable_ns: dict[int, dict[str, int]] = {}
        self._decoder = decoder
        self._counters = counters
        self._records = Records(decoder, learn, log, "a status", counters.bad)

    def told_at(self, partition: int, offset: int) -> Told | None:
        """Return the content of the record at an offset; None where it is not a recent one."""
        if partition >= len(self._recent):
            return None
        # The copy is one step of the interpreter; the deque itself may change meanwhile.
        recent = list(self._recent[partition])
        at = bisect_left(recent, offset, key=_OFFSET)
        if at == len(recent) or recent[at][0] != offset:
            return None
        _, event_id, section, known = recent[at]
        return event_id, section, list(known[:5])

    def is_other_history(self, event_id: int, section: str, told: int, told_at_ms: int) -> bool:
        """Say whether the records of a section prove that a version is not of their log.

        told, told_at_ms: the version that somebody was told, and its log time. Compared with the
        newest status of the section and the remembered ones; older ones are forgotten, so False
        proves nothing.
        """
        known = self.by_event.get(event_id, _NO_SECTIONS).get(section)
        if known is None:
            return False
        number = known[PARTITION] if known[PARTITION] >= 0 else ~known[PARTITION]
        name = (event_id, section)
        # The copy is one step, as in `told_at`.
        lately = [one[3] for one in list(self._recent[number]) if one[1:3] == name]
        return any(is_other_history(*one[:2], told, told_at_ms) for one in (known, *lately))

    def known_ns(self, event_id: int, section: str, known: Known | None) -> int:
        """Return the time, by the view's clock, up to which an entry is surely the newest.

        known: None to ask up to which time the section was surely unknown.
        """
        if known is None:
            key = section_key(event_id, section)
            # The clock is read first: the other thread notes an unreadable record before it moves
            # the clock past that record.
            known_ns = self.partitions[partition_of(key, len(self.partitions))].known_ns
            return min(known_ns, self._unreadable_ns.get(event_id, _NEVER).get(section, known_ns))
        partition = known[PARTITION]
        if partition >= 0:
            return self.partitions[partition].known_ns
        # If the doubt has ended since the caller read the entry, its counts are old: never sure.
        return self._doubtful_ns.get((event_id, section), self._never_ns)

    def absent_ns(self, event_id: int, sections: Sequence[str] = ()) -> int:
        """Return the time, by the view's clock, up to which unknown sections surely did not exist.

        sections: those of the event to look at; empty for all that may exist on any partition.
        """
        if sections:
            return min(self.known_ns(event_id, section, None) for section in sections)
        return min(
            [self.all_known_ns(), *self._unreadable_ns.get(event_id, _NEVER).copy().values()]
        )

    def is_unreadable(self, event_id: int, sections: Sequence[str] = ()) -> bool:
        """Say whether only unreadable records came of one of the sections.

        sections: as in `absent_ns`.
        """
        of_event = self._unreadable_ns.get(event_id)
        if not of_event:
            return False
        return not sections or any(section in of_event for section in sections)

    def entry(self, event_id: int, section: str) -> tuple[Known | None, int]:
        """Return the entry of a section, and the time up to which it is sure; see `known_ns`."""
        known = self.by_event.get(event_id, _NO_SECTIONS).get(section)
        while True:
            known_ns = self.known_ns(event_id, section, known)
            newest = self.by_event.get(event_id, _NO_SECTIONS).get(section)
            if newest is known:
                return known, known_ns
            # The entry changed before the clock was read: that time would hold for the new entry.
            known = newest

    def entries(self, event_id: int) -> dict[str, tuple[Known, int]]:
        """Return the entry of each section of an event, and the time up to which it is sure."""
        while (snapshot := self.snapshot(event_id)) is not None:
            entries = {
                name: (known, self.known_ns(event_id, name, known))
                for name, known in snapshot.known_by_section.items()
            }
            if self.kept_by_event.get(event_id) is snapshot:
                return entries
        return {}

    def snapshot(self, event_id: int) -> EventSnapshot | None:
        """Return the newest snapshot of an event; None for an event without sections."""
        snapshot = self.kept_by_event.get(event_id)
        # Another thread is about to fill an empty snapshot.
        if snapshot is None or not snapshot.known_by_section:
            return self._new_snapshot(event_id)
        return snapshot

    def _new_snapshot(self, event_id: int) -> EventSnapshot | None:
        if event_id not in self.by_event:
            return None
        snapshot = self.kept_by_event[event_id] = EventSnapshot(event_id)
        # The copy is one step of the interpreter; the dict itself may change meanwhile.
        sections = self.by_event.get(event_id, _NO_SECTIONS).copy()
        if not sections:
            self.kept_by_event.pop(event_id, None)
            return None
        doubtful_ns_by_section = {
            name: self.known_ns(event_id, name, known)
            for name, known in sections.items()
            if known[PARTITION] < 0
        }
        former = self._former_by_event.get(event_id)
        self._former_by_event[event_id] = snapshot
        return snapshot.fill(sections, self.partitions, doubtful_ns_by_section, former)

    def take(self, records: Sequence[Message]) -> list[Change]:
        """Take in records as `apply` does, in less time, and return what they changed.

        Returns no changes before these contents are published, since nobody hears of them.

        A pod that starts may read half a million records. Most are newer statuses of known
        sections: these are taken in here, and all other records are left to `apply`.
        """
        changes: list[Change] = []
        tell = self.is_published
        by_header, by_event, counters = self._decoder.by_header, self.by_event, self._counters
        recents, kept = self._recent, self.kept_by_event
        for record in records:
            number, offset = record.partition(), record.offset()
            key, value, headers = record.key(), record.value(), headers_of(record)
            assert number is not None
            assert offset is not None
            told = None if value is None or headers else _told(by_header, key, value)
            known = None if told is None else by_event.get(told[0], _NO_SECTIONS).get(told[1])
            if (
                told is None
                or known is None
                or known[PARTITION] != number
                or told[2][0] <= known[0]
                or fault_of(told[2])
            ):
                change = self.apply(number, offset, key, value, headers)
                if tell and change is not None:
                    changes.append(change)
                continue
            event_id, section, status = told
            entry = (*status, number, offset)
            by_event[event_id][section] = entry
            recents[number].append((offset, event_id, section, entry))
            # Last; see `_put`.
            kept.pop(event_id, None)
            counters.records += 1
            counters.applied += 1
            if tell:
                changes.append(Change(event_id, section, status))
        return changes

    def apply(
        self,
        partition: int,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
    ) -> Change | None:
        """Take in one record; return what it changed. Never raises on bad bytes."""
        self._counters.records += 1
        verdict = self._records.verdict(value, headers)
        try:
            if isinstance(verdict, Decoded):
                return self._tell(self.partitions[partition], offset, key, verdict)
            if isinstance(verdict, Tombstone):
                return self._remove(partition, key)
        except _Bad as bad:
            self._skip(self.partitions[partition], key, bad.reason, bad.detail)
        else:
            self._skip(self.partitions[partition], key, *fault_of_record(verdict))
        return None

    def _tell(
        self, freshness: Freshness, offset: int, key: bytes | None, told: Decoded
    ) -> Change | None:
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
        elif number not in {known[PARTITION], ~known[PARTITION]}:
            # The key is hashed only where two partitions claim the section: a hash for each of
            # 100,000 sections would delay the start.
            if partition_of(key, len(self.partitions)) != number:
                raise _Bad(WRONG_PARTITION, f"{key!r} on {number}")
            # The known entry came from a wrong partition, so it says nothing.
            self._counters.bad[WRONG_PARTITION] += 1
        elif not self._is_news(status_in(known), status):
            if known[:5] == status:
                self._put(event_id, section, (*status, number, offset))
            return None
        # Most events share the names of their sections: interned, each name is in memory once.
        self._put(event_id, intern(section), (*status, number, offset))
        self._counters.applied += 1
        return Change(event_id, section, status)

    def _put(self, event_id: int, section: str, known: Known) -> None:
        self.by_event.setdefault(event_id, {})[section] = known
        self._recent[known[PARTITION]].append((known[OFFSET], event_id, section, known))
        if self._doubtful_ns:
            self._doubtful_ns.pop((event_id, section), None)
        if self._unreadable_ns:
            self._forget_unreadable(event_id, section)
        # Last, here and wherever a section changes; `snapshot` tells why.
        self.kept_by_event.pop(event_id, None)

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

    def _remove(self, number: int, key: bytes | None) -> Change | None:
        parts = None if key is None else split_section_key(key)
        if key is None or parts is None:
            raise _Bad(BAD_KEY, f"a tombstone of {key!r}")
        event_id, section = parts
        sections = self.by_event.get(event_id, {})
        known = sections.get(section)
        is_in_its_place = known is not None and number in {known[PARTITION], ~known[PARTITION]}
        if not is_in_its_place and partition_of(key, len(self.partitions)) != number:
            raise _Bad(WRONG_PARTITION, f"a tombstone of {key!r} on {number}")
        self._counters.removed += 1
        self._forget_unreadable(event_id, section)
        if sections.pop(section, None) is None:
            return None
        if not sections:
            del self.by_event[event_id]
            self._former_by_event.pop(event_id, None)
        self._doubtful_ns.pop((event_id, section), None)
        self.kept_by_event.pop(event_id, None)
        return Change(event_id, section, None)

    def _forget_unreadable(self, event_id: int, section: str) -> None:
        of_event = self._unreadable_ns.get(event_id, {})
        of_event.pop(section, None)
        if not of_event:
            self._unreadable_ns.pop(event_id, None)

    def _skip(self, freshness: Freshness, key: bytes | None, reason: str, detail: str) -> None:
        self._records.skip(reason, detail)
        parts = None if key is None else split_section_key(key)
        if parts is None:
            return
        event_id, section = parts
        known = self.by_event.get(event_id, {}).get(section)
        is_in_its_place = (known is not None and known[PARTITION] == freshness.partition) or (
            partition_of(key, len(self.partitions)) == freshness.partition
        )
        if not is_in_its_place:
            return
        if known is None:
            of_event = self._unreadable_ns.setdefault(event_id, {})
            of_event.setdefault(section, freshness.known_ns)
        elif known[PARTITION] >= 0:
            # The time is stored first: a thread that finds the entry doubtful finds the time too.
            self._doubtful_ns[event_id, section] = freshness.known_ns
            self.by_event[event_id][section] = (
                *status_in(known),
                ~known[PARTITION],
                known[OFFSET],
            )
            self.kept_by_event.pop(event_id, None)


_NO_SECTIONS: dict[str, Known] = {}
_OFFSET: Final = itemgetter(0)
_NEVER: dict[str, int] = {}


def _told(
    by_header: Mapping[bytes, tuple[str, Decode]], key: bytes | None, value: bytes
) -> tuple[int, str, SectionStatus] | None:
    """Return the content of a record in the usual form; None for any other record."""
    reader = by_header.get(value[:HEADER_BYTES])
    if reader is None:
        return None
    try:
        fields = reader[1](value, HEADER_BYTES)
    except Refused:
        return None
    event_id, name, free, as_of_ms, version, held, largest_block = fields
    if key != b"%d-%s" % (event_id, name):
        return None
    return event_id, name.decode(), SectionStatus(version, as_of_ms, free, held, largest_block)
