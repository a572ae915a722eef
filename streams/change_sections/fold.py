"""One batch being folded into its partition: what every decision needs at hand."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from state.domain import log_time
from state.domain.hold import horizon_ms
from state.domain.keys import LAYOUT, PROGRESS_KEY, RESERVATION, SECTION, partition_of
from state.domain.reasons import Reason
from state.domain.reservation import LaterOutcome, Reservation, Status
from state.domain.section import Section
from state.records.reservation import (
    first_outcome,
    later_outcome,
    read_reservation,
    write_reservation,
)
from state.records.seat_codecs import SeatCodecs
from state.records.section import KnownSection, read_section
from streams.batch import Batch, Effects, NewerProducer, Outgoing, State
from streams.change_sections.decisions import Changed

# Rises when the same command would be decided otherwise than before. Which version decides is told
# by the log, so that every log folds to one state whatever code reads it: 2 from the first tick
# under `GUARDED_TICK_KEY` on, 1 before.
LOGIC_VERSION: Final = 2

# Half of Kafka's default max.request.size: a state that outgrew it could never be stored again.
STATE_BYTES_MAX: Final = 512 * 1024

# Counted by the batch, not one by one: most records are first holds.
_HELD: Final = Status.HELD.name

# Where a partition's state keeps its decoded sections.
_CACHE: Final = "sections"

# What a read command carries: the identity's five fields, its encoded form, its own fields.
Fields = tuple[Any, ...]


class SectionCache:
    """The partition's decoded sections, least recently touched first."""

    __slots__ = ("by_key", "seats")

    def __init__(self) -> None:
        self.by_key: OrderedDict[bytes, KnownSection] = OrderedDict()
        self.seats = 0

    @classmethod
    def of(cls, state: State) -> SectionCache:
        cache: SectionCache = state.cache.setdefault(_CACHE, cls())
        return cache

    def add(self, known: KnownSection) -> None:
        self.by_key[known.key] = known
        self.seats += known.section.layout.capacity

    def touch(self, key: bytes) -> None:
        self.by_key.move_to_end(key)

    def shrink(self, seats_max: int) -> None:
        """Forget sections until the rest fits; what is stored is all there is to them."""
        while self.seats > seats_max:
            _, known = self.by_key.popitem(last=False)
            self.seats -= known.section.layout.capacity


class Fold:
    """One batch being folded into its partition's state.

    offset:      of the record that is being decided.
    logic_version: of the rules that decide it.
    log_time_ms: time of the log there; timer_ms: time that the ticks' clocks have come to.
    look_again:  keys whose stored value may have changed since the batch was looked up.
    touched:     sections that a record of this batch concerned.
    counted:     outcomes that `emit` counted; all others are holds.
    """

    __slots__ = (
        "_ordinal",
        "_ordinal_offset",
        "batch",
        "cache",
        "codecs",
        "counted",
        "effects",
        "log_time_ms",
        "logic_version",
        "look_again",
        "next_offset",
        "offset",
        "outcome_prefix",
        "outcomes",
        "overdue",
        "state",
        "state_bytes_max",
        "timer_ms",
        "touched",
    )

    def __init__(
        self,
        codecs: SeatCodecs,
        batch: Batch,
        state: State,
        log_time_ms: int,
        state_bytes_max: int,
    ) -> None:
        self.codecs = codecs
        self.batch = batch
        self.state = state
        self.state_bytes_max = state_bytes_max
        progress = state.get(PROGRESS_KEY)
        stored = (0, log_time_ms, 0, 1) if progress is None else codecs.read_progress(progress, 0)
        self.next_offset, self.log_time_ms, self.timer_ms, self.logic_version = stored
        refuse_newer(self.logic_version)
        self.overdue = state.next_due_ms <= horizon_ms(self.log_time_ms, self.timer_ms)
        self.cache = SectionCache.of(state)
        self.offset = -1
        self.outcome_prefix = b"%s:%d:" % (batch.topic.encode(), batch.partition)
        self.effects = Effects()
        self.outcomes: list[tuple[bytes | None, bytes] | Outgoing] = []
        self.touched: dict[bytes, KnownSection] = {}
        self.look_again: set[bytes] = set()
        self._ordinal = self._ordinal_offset = 0
        self.counted = 0

    def pass_to(self, appended_ms: int) -> int:
        """Let the log's time follow a record's append time, and return it."""
        now_ms: int = self.log_time_ms
        if self.logic_version > 1:
            now_ms = log_time.moved(now_ms, appended_ms)
        else:
            now_ms = max(now_ms, appended_ms)
        self.log_time_ms = now_ms
        return now_ms

    def tick(self, appended_ms: int, clock_ms: int, version: int) -> None:
        """Let time follow a tick, by the rules of `version` from here on if that is newer."""
        self.logic_version = max(self.logic_version, version)
        if self.logic_version > 1 and clock_ms:
            self.log_time_ms, self.timer_ms = log_time.ticked(
                self.log_time_ms, self.timer_ms, appended_ms, clock_ms
            )
        else:
            self.pass_to(appended_ms)
            self.timer_ms = max(self.timer_ms, clock_ms)

    def progress(self, next_offset: int) -> bytes:
        """Return the partition's progress, encoded."""
        return self.codecs.progress(
            next_offset, self.log_time_ms, self.timer_ms, self.logic_version
        )

    def count(self, decision: str) -> None:
        decisions = self.effects.decisions
        decisions[decision] = decisions.get(decision, 0) + 1

    def outcome_id(self, ordinal: int = 0) -> bytes:
        return b"%s%d:%d" % (self.outcome_prefix, self.offset, ordinal)

    def lapses(self) -> int:
        """Return how many lapses the present record has decided."""
        return self._ordinal if self._ordinal_offset == self.offset else 0

    def next_ordinal(self) -> int:
        """Return 1, 2 .. for the lapses that one record decides; 0 is its own outcome."""
        self._ordinal = self.lapses() + 1
        self._ordinal_offset = self.offset
        return self._ordinal

    def find(self, key: bytes | None, fields: Fields) -> KnownSection | Reason | None:
        """Return a command's section, None where it is not open, or what is wrong with `key`."""
        expected = b"%d-%s" % (fields[4], fields[3])
        if key != expected:
            return Reason.KEY_MISMATCH
        if partition_of(expected, self.batch.partitions) != self.batch.partition:
            # Another partition's worker may be selling this section: never touch it here.
            return Reason.WRONG_PARTITION
        return self.section(expected)

    def section(self, key: bytes) -> KnownSection | None:
        """Return an open section of this partition, from its records where it is not decoded."""
        known = self.cache.by_key.get(key)
        if known is None:
            layout, state = self.state.get_many([LAYOUT + key, SECTION + key])
            if layout is None or state is None:
                assert layout is state, f"half of section {key!r} is missing"
                return None
            known = read_section(self.codecs, key, layout, state)
            self.cache.add(known)
        return known

    def touch(self, known: KnownSection) -> Section:
        """Note that the present record concerns a section."""
        section = known.section
        section.applied_offset = self.offset
        section.changed_at_ms = self.log_time_ms
        self.touched[known.key] = known
        return section

    def put_in_place(self, known: KnownSection) -> None:
        """Let a working form stand for its section from now on."""
        if known.key in self.cache.by_key:
            self.cache.by_key[known.key] = known
        else:
            self.cache.add(known)
        self.touch(known)

    def reservation(self, stored: bytes) -> Reservation:
        return read_reservation(self.codecs, stored)

    def store(self, held: Reservation, due_ms: int = 0) -> None:
        key = RESERVATION + held.reservation_id
        self.state.put(key, write_reservation(self.codecs, held), due_ms)
        self.look_again.add(key)

    def first_outcome(self, held: Reservation) -> bytes:
        return first_outcome(self.codecs, self.outcome_prefix, held)

    def later_outcome(self, held: Reservation, later: LaterOutcome) -> bytes:
        return later_outcome(self.codecs, self.outcome_prefix, held, later)

    def emit(self, reservation_id: bytes, outcome: bytes, decision: str) -> None:
        self.outcomes.append((reservation_id, outcome))
        self.counted += 1
        self.count(decision)

    def change(self, reservation_id: bytes, changed: Changed) -> None:
        """Store and tell what a command, or the passing of time, has changed."""
        outcome, label, reservation, due_ms, puts, known = changed
        for key, payload in puts:
            self.state.put(key, payload)
        if known is not None:
            self.put_in_place(known)
        if reservation is not None:
            self.store(reservation, due_ms)
        if label == _HELD:
            self.outcomes.append((reservation_id, outcome))
        else:
            self.emit(reservation_id, outcome, label)

    def refuse(
        self,
        fields: Fields,
        reason: Reason,
        known: KnownSection | None,
        seat: tuple[int, int] | None = None,
    ) -> None:
        """Refuse a command; nothing changes and nothing is stored."""
        version = 0 if known is None else known.section.version
        outcome = self.codecs.refused(
            fields[5], self.outcome_id(), version, self.log_time_ms, reason, seat
        )
        self.emit(fields[0], outcome, reason.name)


def refuse_newer(version: int) -> None:
    """Raise NewerProducer for rules that this code does not have: it would decide otherwise."""
    if version > LOGIC_VERSION:
        message = (
            f"version {version} of the rules decides here, this code has version {LOGIC_VERSION} "
            "at most: let the newer workers take the partition, or roll this one out"
        )
        raise NewerProducer(message)
