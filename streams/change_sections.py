"""Section commands in; outcomes, and one slim status per touched section, out.

The only writer of sections and reservations: the state of a partition is a fold of its records.

Order of every decision: unreadable records go to the dead letters; records that lie on the wrong
partition or under the wrong key are refused; log time moves and holds lapse; a reservation that
was decided already gets its stored outcome again; then the rules are asked, in the order written
below; what changes is stored last.

Keys of the store: `s` + section key: SectionState; `l`: its SectionLayout; `b`: its BlockedSeats;
`r` + reservation id: Reservation; `p`: Progress.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from schemas.topics import RESERVATION_OUTCOMES, SECTION_STATUS
from serdes.decoding import (
    BAD_BODY,
    TOO_LARGE,
    UNKNOWN_SCHEMA,
    Decoded,
    Tombstone,
    Undecodable,
    UnknownRecordType,
)
from serdes.decoding import UnknownSchema as UnknownSchemaId
from serdes.held import Times
from serdes.refused import Refused
from serdes.reservation import (
    correlation_of,
    first_outcome,
    later_outcome,
    read_reservation,
    write_reservation,
)
from serdes.seat_codecs import SeatCodecs
from serdes.section import (
    PLAN_AT,
    KnownSection,
    known_section,
    plan_of,
    read_section,
    write_section,
)
from serdes.wire import HEADER_BYTES, VALUE_BYTES_MAX
from state.domain.allocation import best_available, chosen
from state.domain.hold import extended_deadline_ms, horizon_ms
from state.domain.keys import partition_of, section_key
from state.domain.layout import Layout, SeatPosition, SeatRange, invalid, run_mask
from state.domain.reasons import Reason
from state.domain.reservation import (
    ENDS,
    Later,
    LaterOutcome,
    Reservation,
    Status,
    refusal_to_confirm,
    refusal_to_extend,
    refusal_to_release,
)
from state.domain.section import Section
from streams.batch import (
    Batch,
    DeadLetter,
    Effects,
    Handler,
    NewerProducer,
    Outgoing,
    Record,
    State,
    UnknownSchema,
)

# Rises when the same command would be decided otherwise than before.
LOGIC_VERSION: Final = 1

# Sections kept decoded for each partition, counted in seats; about 4 bytes of memory a seat.
CACHED_SEATS_MAX: Final = 5_000_000
# Half of Kafka's default max.request.size: a state that outgrew it could never be stored again.
STATE_BYTES_MAX: Final = 512 * 1024

PROGRESS_KEY: Final = b"p"
_SECTION: Final = b"s"
_LAYOUT: Final = b"l"
_BLOCKED: Final = b"b"
_RESERVATION: Final = b"r"
_CACHE: Final = "sections"

_COMMANDS: Final = "io.seatstream.commands."
_TICK: Final = _COMMANDS + "Tick"
_HELD: Final = int(Status.HELD)
_NO_REASON: Final = int(Reason.UNSPECIFIED)

# What a read command carries: the identity's five fields, its encoded form, its own fields.
Fields = tuple[Any, ...]
Decide = Callable[["_Fold", Record, Fields, bytes | None], None]


def change_sections(
    codecs: SeatCodecs,
    *,
    outcomes: str = RESERVATION_OUTCOMES.name,
    status: str = SECTION_STATUS.name,
    cached_seats_max: int = CACHED_SEATS_MAX,
    state_bytes_max: int = STATE_BYTES_MAX,
) -> Handler:
    """Return the handler.

    outcomes, status: names of the topics written.
    cached_seats_max: seats of the sections kept decoded between batches; influences no decision.
    state_bytes_max:  largest record that a section may need in the store.
    """

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        fold = _Fold(codecs, batch, state, log_time_ms, state_bytes_max)
        records = batch.records
        rewound = 0
        while rewound < len(records) and records[rewound].offset < fold.next_offset:
            rewound += 1
        if rewound:
            _emit_again(fold, records[:rewound])
            records = records[rewound:]
        if records:
            _apply(fold, records)
            _settle(fold, records[-1].offset + 1, status, cached_seats_max)
        if fold.outcomes:
            fold.effects.outgoing[outcomes] = fold.outcomes
        held = len(fold.outcomes) - fold.counted
        if held:
            fold.effects.decisions[Status.HELD.name] = held
        return fold.effects

    return handle


class _Cache:
    """The partition's decoded sections, least recently touched first."""

    __slots__ = ("by_key", "seats")

    def __init__(self) -> None:
        self.by_key: dict[bytes, KnownSection] = {}
        self.seats = 0

    def add(self, known: KnownSection) -> None:
        self.by_key[known.key] = known
        self.seats += known.section.layout.capacity

    def touch(self, key: bytes) -> None:
        by_key = self.by_key
        by_key[key] = by_key.pop(key)

    def shrink(self, seats_max: int) -> None:
        """Forget sections until the rest fits; what is stored is all there is to them."""
        while self.seats > seats_max:
            key = next(iter(self.by_key))
            self.seats -= self.by_key.pop(key).section.layout.capacity


class _Fold:
    """One batch being folded into its partition's state.

    offset:      of the record that is being decided.
    log_time_ms: highest append time up to it; timer_ms: highest clock of a tick.
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
        "look_again",
        "next_offset",
        "offset",
        "outcome_prefix",
        "outcomes",
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
        stored = (0, 0, 0, 0) if progress is None else codecs.read_progress(progress, 0)
        self.next_offset, stored_time_ms, self.timer_ms, _ = stored
        self.log_time_ms = max(log_time_ms, stored_time_ms)
        self.cache: _Cache = state.cache.get(_CACHE) or state.cache.setdefault(_CACHE, _Cache())
        self.offset = -1
        self.outcome_prefix = b"%s:%d:" % (batch.topic.encode(), batch.partition)
        self.effects = Effects()
        self.outcomes: list[tuple[bytes | None, bytes] | Outgoing] = []
        self.touched: dict[bytes, KnownSection] = {}
        self.look_again: set[bytes] = set()
        self._ordinal = self._ordinal_offset = 0
        self.counted = 0

    def count(self, decision: str) -> None:
        decisions = self.effects.decisions
        decisions[decision] = decisions.get(decision, 0) + 1

    def outcome_id(self, ordinal: int = 0) -> bytes:
        return b"%s%d:%d" % (self.outcome_prefix, self.offset, ordinal)

    def next_ordinal(self) -> int:
        """Return 1, 2 .. for the lapses that one record decides; 0 is its own outcome."""
        if self._ordinal_offset != self.offset:
            self._ordinal_offset, self._ordinal = self.offset, 0
        self._ordinal += 1
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
            layout, state = self.state.get_many([_LAYOUT + key, _SECTION + key])
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

    def reservation(self, stored: bytes) -> Reservation:
        return read_reservation(self.codecs, stored)

    def store(self, held: Reservation, due_ms: int = 0) -> None:
        key = _RESERVATION + held.reservation_id
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


# Reading.


def _read(
    fold: _Fold, records: Sequence[Record]
) -> tuple[list[Decide | None], list[Fields], list[bytes]]:
    """Return for each record who decides it (None: a hold of best seats), fields, store key.

    Raises UnknownSchema or NewerProducer before anything is decided.
    """
    deciders: list[Decide | None] = []
    decoded: list[Fields] = []
    keys: list[bytes] = []
    by_header = fold.codecs.commands.by_header
    for record in records:
        value = record.value
        headers = record.headers
        try:
            # The usual record. `_read_unusual` would read it as well, but a little slower.
            if value is None or headers:
                name, fields = _read_unusual(fold, record)
            else:
                name, decode = by_header[value[:HEADER_BYTES]]
                fields = decode(value, HEADER_BYTES)
        except KeyError:
            name, fields = _read_unusual(fold, record)
        except Refused as refused:
            assert value is not None
            reason = TOO_LARGE if len(value) > VALUE_BYTES_MAX else BAD_BODY
            name, fields = _bury(fold, record, reason, str(refused))
        deciders.append(_DECIDE[name])
        decoded.append(fields)
        # Ticks and unreadable records have no reservation; the progress is there to be looked up.
        keys.append(_RESERVATION + fields[0] if len(fields) > PLAN_AT else PROGRESS_KEY)
    return deciders, decoded, keys


def _read_unusual(fold: _Fold, record: Record) -> tuple[str, Fields]:
    verdict = fold.codecs.commands.decode(record.value, record.headers)
    match verdict:
        case Decoded(name, fields):
            return name, fields
        case Undecodable(reason, detail):
            return _bury(fold, record, reason, detail)
        case Tombstone():
            fold.count("TOMBSTONE")
            return "", ()
        case UnknownSchemaId(schema_id):
            if schema_id not in fold.batch.unknown_schemas:
                raise UnknownSchema(schema_id)
            return _bury(fold, record, UNKNOWN_SCHEMA, f"schema {schema_id}")
        case UnknownRecordType(detail):
            raise NewerProducer(detail)


def _bury(fold: _Fold, record: Record, reason: str, detail: str) -> tuple[str, Fields]:
    fold.effects.dead_letters.append(DeadLetter(record, reason, detail))
    return "", ()


# Deciding.


def _apply(fold: _Fold, records: Sequence[Record]) -> None:
    deciders, decoded, keys = _read(fold, records)
    state = fold.state
    stored_values = state.get_many(keys)
    look_again = fold.look_again
    if len(set(keys)) < len(keys):
        # Records of one batch must see each other: what is asked for twice is looked up anew.
        once: set[bytes] = set()
        for key in keys:
            (look_again if key in once else once).add(key)
    log_time_ms = fold.log_time_ms
    by_key = fold.cache.by_key
    touched = fold.touched
    outcomes = fold.outcomes
    put = state.put
    write_hold = fold.codecs.new_hold.write
    times_of = fold.codecs.new_hold.times
    outcome_prefix = fold.outcome_prefix
    times_by_deadline: dict[int, Times] = {}
    for record, decide, fields, key, stored in zip(
        records, deciders, decoded, keys, stored_values, strict=True
    ):
        fold.offset = offset = record.offset
        timestamp = record.timestamp
        if timestamp > log_time_ms:
            fold.log_time_ms = log_time_ms = timestamp
            times_by_deadline = {}
            _lapse(fold)
        if key in look_again:
            stored = state.get(key)  # noqa: PLW2901
        if decide is not None:
            decide(fold, record, fields, stored)
            continue
        # Nearly every record is the first hold of its id, for best seats, on a section that is
        # decoded and on sale, and finds seats. It is decided and written here, without a call
        # that can be spared; all others climb the ladder of `_hold`, which decides the same.
        reservation_id, _, _, section_id, event_id, request, count = fields
        section_key = record.key
        known = by_key.get(section_key)  # type: ignore[arg-type]
        if (
            known is None
            or stored is not None
            or known.section_id != section_id
            or known.event_id != event_id
            or not known.sale_starts_ms <= log_time_ms < known.sale_ends_ms
            or not 0 < count <= known.max_seats_per_hold
        ):
            _hold_best(fold, record, fields, stored)
            continue
        section = known.section
        found = best_available(section, count)
        if type(found) is not tuple:
            _hold_best(fold, record, fields, stored)
            continue
        row, first = found
        section.take(row, ((1 << count) - 1) << first)
        section.version = version = section.version + 1
        section.applied_offset = offset
        section.changed_at_ms = log_time_ms
        touched[section_key] = known  # type: ignore[index]
        deadline_ms = log_time_ms + known.hold_ms
        times = times_by_deadline.get(deadline_ms)
        if times is None:
            times = times_by_deadline[deadline_ms] = times_of(log_time_ms, deadline_ms)
        outcome_id = b"%s%d:0" % (outcome_prefix, offset)
        reservation, outcome = write_hold(
            request, outcome_id, offset, version, times, (row, first, count)
        )
        put(key, reservation, deadline_ms)
        outcomes.append((reservation_id, outcome))


def _set_aside(
    fold: _Fold,
    known: KnownSection,
    fields: Fields,
    wanted: tuple[SeatPosition, ...],
    seats: tuple[tuple[int, int, int], ...],
) -> None:
    """Hold seats that were found free, and tell so."""
    section = known.section
    for row, first, count in seats:
        section.take(row, ((1 << count) - 1) << first)
    offset = fold.offset
    log_time_ms = fold.log_time_ms
    section.version = version = section.version + 1
    section.applied_offset = offset
    section.changed_at_ms = log_time_ms
    fold.touched[known.key] = known
    deadline_ms = log_time_ms + known.hold_ms
    reservation_id, request, count = fields[0], fields[5], fields[6]
    codecs = fold.codecs
    fold.state.put(
        _RESERVATION + reservation_id,
        codecs.reservation(
            request, count, wanted, _HELD, 1, log_time_ms, deadline_ms,
            offset, version, seats, _NO_REASON, None, (),
        ),
        deadline_ms,
    )  # fmt: skip
    outcome_id = b"%s%d:0" % (fold.outcome_prefix, offset)
    outcome = codecs.held(request, outcome_id, version, log_time_ms, 1, deadline_ms, seats)
    fold.outcomes.append((reservation_id, outcome))


def _hold_best(fold: _Fold, record: Record, fields: Fields, stored: bytes | None) -> None:
    _hold(fold, record, fields, stored, None)


def _hold_chosen(fold: _Fold, record: Record, fields: Fields, stored: bytes | None) -> None:
    _hold(fold, record, fields, stored, fields[7])


def _hold(
    fold: _Fold,
    record: Record,
    fields: Fields,
    stored: bytes | None,
    wanted: tuple[SeatPosition, ...] | None,
) -> None:
    """Decide a hold; `wanted` is None for best available seats."""
    known = fold.find(record.key, fields)
    if isinstance(known, Reason):
        # Not stored: the id belongs to the partition of its section.
        _reject(fold, fields, known, 0)
        return
    if known is not None:
        fold.touch(known)
    if stored is not None:
        _hold_again(fold, fields, fold.reservation(stored), known, wanted or ())
        return
    found = _choose(fold, fields, known, wanted)
    if isinstance(found, list):
        assert known is not None
        _set_aside(fold, known, fields, wanted or (), tuple(found))
        return
    reason, seat = found
    rejected = _without_seats(fold, fields, known, Status.REJECTED, reason)
    rejected = rejected._replace(seat_count=fields[6], chosen=wanted or (), seat=seat)
    fold.store(rejected)
    fold.emit(rejected.reservation_id, fold.first_outcome(rejected), reason.name)


def _without_seats(
    fold: _Fold, fields: Fields, known: KnownSection | None, status: Status, reason: Reason
) -> Reservation:
    """Return a reservation that is decided now and has no seats."""
    reservation_id, user_id, correlation_id, section_id, event_id, request = fields[:PLAN_AT]
    return Reservation(
        reservation_id=reservation_id,
        user_id=user_id,
        correlation_id=correlation_id,
        section_id=section_id,
        event_id=event_id,
        request=request,
        seat_count=0,
        chosen=(),
        status=status,
        epoch=0,
        held_at_ms=fold.log_time_ms,
        first_deadline_ms=0,
        decided_offset=fold.offset,
        decided_version=0 if known is None else known.section.version,
        seats=(),
        reason=reason,
        seat=None,
        later=(),
    )


def _choose(
    fold: _Fold,
    fields: Fields,
    known: KnownSection | None,
    wanted: tuple[SeatPosition, ...] | None,
) -> list[SeatRange] | tuple[Reason, SeatPosition | None]:
    """Return the seats for a hold, or the first reason against it in documented order."""
    count = fields[6]
    if known is None:
        return Reason.UNKNOWN_SECTION, None
    if fold.log_time_ms < known.sale_starts_ms:
        return Reason.NOT_OPEN, None
    if fold.log_time_ms >= known.sale_ends_ms:
        return Reason.SALE_CLOSED, None
    if not 1 <= count <= known.max_seats_per_hold:
        return Reason.BAD_COUNT, None
    if wanted is None:
        found = best_available(known.section, count)
        return (found, None) if isinstance(found, Reason) else [SeatRange(*found, count)]
    if len(wanted) != count:
        return Reason.BAD_COUNT, None
    return chosen(known.section, wanted)


def _reject(fold: _Fold, fields: Fields, reason: Reason, version: int) -> None:
    """Reject a hold without storing it."""
    outcome = fold.codecs.rejected(
        fields[5], fold.outcome_id(), version, fold.log_time_ms, reason, None
    )
    fold.emit(fields[0], outcome, reason.name)


def _hold_again(
    fold: _Fold,
    fields: Fields,
    held: Reservation,
    known: KnownSection | None,
    wanted: tuple[SeatPosition, ...],
) -> None:
    """Answer a hold whose id is known: as before, or with a conflict."""
    same_buyer = (held.user_id, held.section_id, held.event_id) == (
        fields[1],
        fields[3],
        fields[4],
    )
    if same_buyer and held.status == Status.RELEASED and not held.was_held:
        # The cancellation overtook its hold; it stands, and is not overwritten.
        version = 0 if known is None else known.section.version
        _reject(fold, fields, Reason.CANCELLED, version)
    elif same_buyer and (held.seat_count, held.chosen) == (fields[6], wanted):
        fold.emit(held.reservation_id, fold.first_outcome(held), "REPEATED")
    else:
        fold.refuse(fields, Reason.CONFLICT, known)


# What becomes of a reservation.


def _known_buyer(
    fold: _Fold, record: Record, fields: Fields, stored: bytes | None
) -> tuple[KnownSection | None, Reservation] | None:
    """Return section and reservation of a later command, or None where it was refused."""
    known = fold.find(record.key, fields)
    if isinstance(known, Reason):
        fold.refuse(fields, known, None)
        return None
    if known is not None:
        fold.touch(known)
    if stored is None:
        fold.refuse(fields, Reason.UNKNOWN_RESERVATION, known)
        return None
    held = fold.reservation(stored)
    if (held.section_id, held.event_id) != (fields[3], fields[4]):
        fold.refuse(fields, Reason.CONFLICT, known)
        return None
    if held.user_id != fields[1]:
        fold.refuse(fields, Reason.FORBIDDEN, known)
        return None
    return known, held


def _confirm(fold: _Fold, record: Record, fields: Fields, stored: bytes | None) -> None:
    buyer = _known_buyer(fold, record, fields, stored)
    if buyer is None:
        return
    known, held = buyer
    epoch = fields[6]
    ended = held.last(*ENDS)
    if ended is not None and ended.kind == Later.REACQUIRED and epoch == held.epoch - 1:
        # The confirm of the lapsed epoch, again: it is the one that took the seats back.
        epoch = held.epoch
    reason = refusal_to_confirm(held, epoch)
    if reason is not None:
        fold.refuse(fields, reason, known)
        return
    if held.status == Status.SOLD:
        assert ended is not None
        fold.emit(held.reservation_id, fold.later_outcome(held, ended), "REPEATED")
        return
    assert known is not None
    section = known.section
    kind = Later.CONFIRMED
    if held.status == Status.RELEASED:
        rows = section.rows
        masks = _masks(held.seats)
        if any(mask & ~rows[row] for row, mask in masks):
            fold.refuse(fields, Reason.REFUND_DUE, known)
            return
        for row, mask in masks:
            section.take(row, mask)
        kind = Later.REACQUIRED
        epoch += 1
    section.sell(sum(count for _, _, count in held.seats))
    _decide_later(fold, known, held, kind, fields[5], epoch)


def _release(fold: _Fold, record: Record, fields: Fields, stored: bytes | None) -> None:
    if stored is None:
        _cancel_unknown(fold, record, fields)
        return
    buyer = _known_buyer(fold, record, fields, stored)
    if buyer is None:
        return
    known, held = buyer
    reason = refusal_to_release(held, fields[6])
    if reason is not None:
        fold.refuse(fields, reason, known)
        return
    if held.status == Status.RELEASED:
        ended = held.last(*ENDS)
        again = fold.first_outcome(held) if ended is None else fold.later_outcome(held, ended)
        fold.emit(held.reservation_id, again, "REPEATED")
        return
    assert known is not None
    _give_back(known.section, held)
    _decide_later(fold, known, held, Later.CANCELLED, fields[5], held.epoch)


def _cancel_unknown(fold: _Fold, record: Record, fields: Fields) -> None:
    """Remember a cancellation that came before its hold, so that the hold will be refused."""
    known = fold.find(record.key, fields)
    if isinstance(known, Reason):
        fold.refuse(fields, known, None)
        return
    if known is not None:
        fold.touch(known)
    cancelled = _without_seats(fold, fields, known, Status.RELEASED, Reason.CANCELLED)
    fold.store(cancelled)
    fold.emit(cancelled.reservation_id, fold.first_outcome(cancelled), "CANCELLED_EARLY")


def _extend(fold: _Fold, record: Record, fields: Fields, stored: bytes | None) -> None:
    buyer = _known_buyer(fold, record, fields, stored)
    if buyer is None:
        return
    known, held = buyer
    reason = refusal_to_extend(held, fields[6])
    if reason is not None:
        fold.refuse(fields, reason, known)
        return
    assert known is not None
    before = held.last(Later.EXTENDED)
    if before is not None and correlation_of(before.request) == fields[2]:
        fold.emit(held.reservation_id, fold.later_outcome(held, before), "REPEATED")
        return
    deadline_ms = extended_deadline_ms(
        fold.log_time_ms, held.held_at_ms, known.hold_ms, known.max_hold_ms
    )
    if deadline_ms <= held.deadline_ms:
        fold.refuse(fields, Reason.EXTENSION_CAP, known)
        return
    # The section itself does not change, so its version stays.
    later = LaterOutcome(
        Later.EXTENDED,
        fields[5],
        fold.offset,
        0,
        known.section.version,
        fold.log_time_ms,
        held.epoch,
        deadline_ms,
    )
    fold.store(held.with_later(later), deadline_ms)
    fold.emit(held.reservation_id, fold.later_outcome(held, later), Later.EXTENDED.name)


def _lapse(fold: _Fold) -> None:
    """End every hold whose deadline has passed by both clocks, oldest deadline first."""
    state = fold.state
    horizon = horizon_ms(fold.log_time_ms, fold.timer_ms)
    if horizon < state.next_due_ms:
        return
    due = state.due(horizon)
    for stored in state.get_many([key for _, key in due]):
        assert stored is not None
        held = fold.reservation(stored)
        known = fold.section(section_key(held.event_id, held.section_id.decode()))
        assert known is not None
        fold.touch(known)
        _give_back(known.section, held)
        ordinal = fold.next_ordinal()
        _decide_later(fold, known, held, Later.LAPSED, held.request, held.epoch, ordinal)


def _decide_later(
    fold: _Fold,
    known: KnownSection,
    held: Reservation,
    kind: Later,
    request: bytes,
    epoch: int,
    ordinal: int = 0,
) -> None:
    """Store and tell what ends a hold; the section's seats have moved already."""
    section = known.section
    section.version += 1
    later = LaterOutcome(
        kind, request, fold.offset, ordinal, section.version, fold.log_time_ms, epoch, 0
    )
    fold.store(held.with_later(later))
    fold.emit(held.reservation_id, fold.later_outcome(held, later), kind.name)


def _masks(seats: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
    return [(row, run_mask(first, count)) for row, first, count in seats]


def _give_back(section: Section, held: Reservation) -> None:
    for row, mask in _masks(held.seats):
        section.give_back(row, mask)


# Rewinding.


def _emit_again(fold: _Fold, records: Sequence[Record]) -> None:
    """Emit what rewound records led to once more; their effects are in the state already."""
    _, _, keys = _read(fold, records)
    # Their dead letters were written when they were applied.
    fold.effects.dead_letters.clear()
    for record, key, stored in zip(records, keys, fold.state.get_many(keys), strict=True):
        if stored is None or key == PROGRESS_KEY:
            continue
        held = fold.reservation(stored)
        if held.decided_offset == record.offset:
            fold.emit(held.reservation_id, fold.first_outcome(held), "REPEATED")
        for later in held.later:
            if later.offset == record.offset:
                fold.emit(held.reservation_id, fold.later_outcome(held, later), "REPEATED")


# Sections.


def _open(fold: _Fold, record: Record, fields: Fields, stored: bytes | None) -> None:  # noqa: ARG001
    known = fold.find(record.key, fields)
    if isinstance(known, Reason):
        fold.refuse(fields, known, None)
        return
    if known is None:
        known = _open_new(fold, fields)
        if known is None:
            return
    else:
        layout = fold.state.get(_LAYOUT + known.key)
        assert layout is not None
        fold.touch(known)
        if fold.codecs.read_layout(layout, 0)[PLAN_AT:] != fields[PLAN_AT:]:
            fold.refuse(fields, Reason.CONFLICT, known)
            return
    outcome = fold.codecs.opened(
        fields[5],
        fold.outcome_id(),
        known.section.version,
        fold.log_time_ms,
        known.section.layout.capacity,
        known.initial_blocked_count,
    )
    fold.emit(fields[0], outcome, "OPENED")


def _open_new(fold: _Fold, fields: Fields) -> KnownSection | None:
    """Open a section, or refuse its plan and return None."""
    codecs = fold.codecs
    plan = plan_of(fields)
    if invalid(plan) is not None:
        fold.refuse(fields, Reason.BAD_LAYOUT, None)
        return None
    section = Section.empty(Layout.of(plan.rows), plan.rules)
    for row, mask in _masks(plan.blocked):
        section.block(row, mask)
    known = known_section(b"%d-%s" % (fields[4], fields[3]), fields, section)
    layout = codecs.layout(*fields[5:])
    if max(len(layout), len(write_section(codecs, known))) > fold.state_bytes_max:
        fold.refuse(fields, Reason.STATE_TOO_LARGE, None)
        return None
    section.version = 1
    fold.state.put(_LAYOUT + known.key, layout)
    if plan.blocked:
        blocked = [0] * len(section.rows)
        for row, mask in _masks(plan.blocked):
            blocked[row] |= mask
        fold.state.put(_BLOCKED + known.key, codecs.blocked_seats(section.layout.pack(blocked)))
    fold.cache.add(known)
    fold.touch(known)
    return known


def _block(fold: _Fold, record: Record, fields: Fields, stored: bytes | None) -> None:  # noqa: ARG001
    _change_blocked(fold, record, fields, block=True)


def _unblock(fold: _Fold, record: Record, fields: Fields, stored: bytes | None) -> None:  # noqa: ARG001
    _change_blocked(fold, record, fields, block=False)


def _change_blocked(fold: _Fold, record: Record, fields: Fields, *, block: bool) -> None:
    """Take seats out of sale or bring them back, all or none."""
    codecs = fold.codecs
    known = fold.find(record.key, fields)
    if isinstance(known, Reason):
        fold.refuse(fields, known, None)
        return
    if known is None:
        fold.refuse(fields, Reason.UNKNOWN_SECTION, None)
        return
    section = fold.touch(known)
    seats = fields[6]
    unknown = _unknown_seat(section.layout, seats)
    if unknown is not None:
        fold.refuse(fields, Reason.UNKNOWN_SEAT, known, unknown)
        return
    if not seats or any(count < 1 for _, _, count in seats):
        fold.refuse(fields, Reason.BAD_COUNT, known)
        return
    stored = fold.state.get(_BLOCKED + known.key)
    blocked = (
        [0] * len(section.rows)
        if stored is None
        else section.layout.unpack(codecs.read_blocked(stored, 0)[0])
    )
    for row, mask in _masks(seats):
        missing = mask & ~(section.rows if block else blocked)[row]
        if missing:
            seat = SeatPosition(row, (missing & -missing).bit_length() - 1)
            reason = Reason.SEAT_TAKEN if block else Reason.NOT_BLOCKED
            fold.refuse(fields, reason, known, seat)
            return
    for row, mask in _masks(seats):
        blocked[row] ^= mask
        if block:
            section.block(row, mask)
        else:
            section.unblock(row, mask)
    section.version += 1
    fold.state.put(_BLOCKED + known.key, codecs.blocked_seats(section.layout.pack(blocked)))
    encode = codecs.blocked if block else codecs.unblocked
    outcome = encode(fields[5], fold.outcome_id(), section.version, fold.log_time_ms, seats)
    fold.emit(fields[0], outcome, "BLOCKED" if block else "UNBLOCKED")


def _unknown_seat(layout: Layout, seats: Sequence[tuple[int, int, int]]) -> SeatPosition | None:
    """Return the first seat of some ranges that does not exist or is listed twice."""
    listed: dict[int, int] = {}
    for row, first, count in seats:
        # Seat by seat, so that the offender is named; an absurd count ends at the first one.
        for seat in range(first, first + count):
            if not layout.contains(row, seat) or listed.get(row, 0) >> seat & 1:
                return SeatPosition(row, seat)
            listed[row] = listed.get(row, 0) | 1 << seat
    return None


# Time.


def _tick(fold: _Fold, record: Record, fields: Fields, stored: bytes | None) -> None:  # noqa: ARG001
    fold.count("TICK")
    if fields[0] > fold.timer_ms:
        fold.timer_ms = fields[0]
        _lapse(fold)


def _nothing(fold: _Fold, record: Record, fields: Fields, stored: bytes | None) -> None:
    """Decide nothing: an unreadable record has only moved log time."""


_DECIDE: Final[dict[str, Decide | None]] = {
    "": _nothing,
    _TICK: _tick,
    _COMMANDS + "OpenSection": _open,
    _COMMANDS + "HoldBestAvailable": None,
    _COMMANDS + "HoldChosenSeats": _hold_chosen,
    _COMMANDS + "ConfirmReservation": _confirm,
    _COMMANDS + "ReleaseReservation": _release,
    _COMMANDS + "ExtendHold": _extend,
    _COMMANDS + "BlockSeats": _block,
    _COMMANDS + "UnblockSeats": _unblock,
}


# Storing.


def _settle(fold: _Fold, next_offset: int, status: str, cached_seats_max: int) -> None:
    """Store what the batch left behind, once for each section that it touched."""
    state = fold.state
    codecs = fold.codecs
    cache = fold.cache
    statuses: list[tuple[bytes | None, bytes] | Outgoing] = []
    for key, known in fold.touched.items():
        section = known.section
        # A wrong count means a seat sold twice or lost: end the process before it is written.
        assert section.is_conserved(), f"section {key!r} does not add up"
        state.put(_SECTION + key, write_section(codecs, known))
        counts = codecs.status(
            known.event_id,
            known.section_id,
            section.free_count,
            section.changed_at_ms,
            section.version,
            section.held_count,
            section.largest_block(),
        )
        statuses.append((key, counts))
        cache.touch(key)
    if statuses:
        fold.effects.outgoing[status] = statuses
    cache.shrink(cached_seats_max)
    progress = codecs.progress(next_offset, fold.log_time_ms, fold.timer_ms, LOGIC_VERSION)
    state.put(PROGRESS_KEY, progress)
