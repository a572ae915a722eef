"""One batch of section commands being folded: what every decision about seats needs at hand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.topics import CART_COMMANDS, PAYMENT_COMMANDS, SEAT_UNLOCK
from serdes.wire import VALUE_BYTES_MAX
from state.domain.keys import (
    LAYOUT,
    PROGRESS_KEY,
    RESERVATION,
    SECTION,
    partition_of,
    split_part_id,
)
from state.domain.open_section import KnownSection
from state.domain.reasons import Reason
from state.domain.reservation import LaterOutcome, Reservation, Status
from state.domain.section import Section
from state.records.names import IDENTITY_FIELDS, RESERVATION_ID, Command
from state.records.reservation import (
    first_outcome,
    later_outcome,
    read_reservation,
    write_reservation,
)
from state.records.seat_codecs import SeatCodecs
from state.records.section import read_section
from streams.batch import Batch, State
from streams.change_sections.decisions import Again, Changed, Decision
from streams.folding.fold import Fields, Fold

# Rises when the same command would be decided otherwise than before. Which version decides is told
# by the log, so that every log folds to one state whatever code reads it: 2 from the first tick
# under `GUARDED_TICK_KEY` on, 1 before.
LOGIC_VERSION: Final = 2

COMMANDS: Final = "io.seatstream.commands."
TICK: Final = COMMANDS + "Tick"

# Why nobody holds seats any more, by where their reservation stands; numbers as in Avro.
_UNLOCKS: Final = {Status.SOLD: 1, Status.RELEASED: 2, Status.REFUNDED: 3}

# The longest record that is read again. Of a section's, all but the bitmap of its seats takes less
# than `BESIDE_SEATS_BYTES_MAX`, however high its numbers rise.
STATE_BYTES_MAX: Final = VALUE_BYTES_MAX
BESIDE_SEATS_BYTES_MAX: Final = 128

# Where a partition's state keeps its decoded sections.
_CACHE: Final = "sections"


@dataclass(frozen=True, slots=True)
class Beside:
    """Names of topics written beside outcomes: what payments, carts and who locks seats hear."""

    payments: str = PAYMENT_COMMANDS.name
    carts: str = CART_COMMANDS.name
    unlock: str = SEAT_UNLOCK.name


BESIDE: Final = Beside()


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


class SectionFold(Fold):
    """One batch of section commands being folded into its partition.

    touched:  sections that a record of this batch concerned.
    appended_ms: when the command that is being decided was appended, by its broker's clock.
    beside:   names of the topics that it writes beside outcomes.
    """

    tick_name = TICK
    progress_key = PROGRESS_KEY
    usual = Status.HELD.name
    first_logic_version = 1
    last_logic_version = LOGIC_VERSION

    __slots__ = ("appended_ms", "beside", "cache", "codecs", "state_bytes_max", "touched")

    def __init__(
        self,
        codecs: SeatCodecs,
        batch: Batch,
        state: State,
        log_time_ms: int,
        state_bytes_max: int,
        beside: Beside = BESIDE,
    ) -> None:
        super().__init__(codecs.commands, batch, state, log_time_ms)
        self.codecs = codecs
        self.state_bytes_max = state_bytes_max
        self.beside = beside
        self.appended_ms = 0
        self.cache = SectionCache.of(state)
        self.touched: dict[bytes, KnownSection] = {}

    def find(self, key: bytes | None, command: Command) -> KnownSection | Reason | None:
        """Return a command's section, None where it is not open, or what is wrong with `key`."""
        expected = b"%d-%s" % (command.event_id, command.section)
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
        self.put(key, write_reservation(self.codecs, held), due_ms)

    def first_outcome(self, held: Reservation) -> bytes:
        return first_outcome(self.codecs, self.outcome_prefix, held)

    def later_outcome(self, held: Reservation, later: LaterOutcome) -> bytes:
        return later_outcome(self.codecs, self.outcome_prefix, held, later)

    def end_again(self, held: Reservation) -> Again:
        """Return the outcome of what ended a reservation, as it was told then."""
        ended = held.last_end
        # Without one, its cancellation came before its hold.
        return Again(
            self.first_outcome(held) if ended is None else self.later_outcome(held, ended)
        )

    def tell_payments(self, reservation_id: bytes, told: bytes) -> None:
        """Publish a record for payments; nothing for an empty one.

        Nor for a part: its cart is told of it, and asks for the money of all parts at once.
        """
        if told and split_part_id(reservation_id) is None:
            self.effects.to(self.beside.payments).append((reservation_id, told))

    def tell_locks(self, held: Reservation) -> None:
        """Publish that a reservation has come to its end, where it has, and had seats."""
        cause, last = _UNLOCKS.get(Status(held.status)), held.last_end
        if cause is None or last is None:
            return
        outcome_id = b"%s%d:%d" % (self.outcome_prefix, last.offset, last.ordinal)
        value = self.codecs.unlock(held.request, outcome_id, last.epoch, cause, held.seats)
        key = b"%d-%s" % (held.event_id, held.section_id)
        self.effects.to(self.beside.unlock).append((key, value))

    def tell_carts(self, key: bytes, told: bytes) -> None:
        """Publish a record for the carts of a buyer."""
        self.effects.to(self.beside.carts).append((key, told))

    def change(self, reservation_id: bytes, changed: Changed) -> None:
        """Store and tell what a command, or the passing of time, has changed."""
        outcome, label, reservation, due_ms, puts, known, _ = changed
        for key, payload in puts:
            self.state.put(key, payload)
        if known is not None:
            self.put_in_place(known)
        if reservation is not None:
            self.store(reservation, due_ms)
            self.tell_locks(reservation)
        if label == self.usual:
            self.outcomes.append((reservation_id, outcome))
        else:
            self.emit(reservation_id, outcome, label)

    def refuse(
        self,
        command: Command,
        reason: Reason,
        known: KnownSection | None,
        seat: tuple[int, int] | None = None,
    ) -> None:
        """Refuse a command; nothing changes and nothing is stored."""
        version = 0 if known is None else known.section.version
        outcome = self.codecs.refused(
            command.request, self.outcome_id(), version, self.log_time_ms, reason, seat
        )
        self.emit(command.reservation_id, outcome, reason.name)


# (fold, command, section where it is open, stored reservation of that id).
Decide = Callable[[SectionFold, Any, KnownSection | None, bytes | None], Decision]


def keys_of(decoded: Sequence[Fields]) -> list[bytes]:
    """Return for each read record the key to look up."""
    # Ticks and unreadable records have no reservation; the progress is there to look up.
    return [
        RESERVATION + fields[RESERVATION_ID] if len(fields) > IDENTITY_FIELDS else PROGRESS_KEY
        for fields in decoded
    ]
