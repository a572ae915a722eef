"""What becomes of a reservation: confirmed, released, extended, lapsed, told again."""

from __future__ import annotations

from collections.abc import Sequence

from state.domain.hold import LAPSES_PER_RECORD, extended_deadline_ms, horizon_ms
from state.domain.keys import PROGRESS_KEY, section_key
from state.domain.layout import range_masks
from state.domain.reasons import Reason
from state.domain.reservation import (
    ENDS,
    EXTENSIONS_KEPT,
    Later,
    LaterOutcome,
    Reservation,
    Status,
    refusal_to_confirm,
    refusal_to_extend,
    refusal_to_release,
)
from state.domain.section import Section
from state.records.reservation import correlation_of
from state.records.section import KnownSection
from streams.batch import Record
from streams.change_sections.fold import Fields, Fold
from streams.change_sections.holds import decided_now
from streams.change_sections.reading import read


def _known_buyer(
    fold: Fold, record: Record, fields: Fields, stored: bytes | None
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


def confirm(fold: Fold, record: Record, fields: Fields, stored: bytes | None) -> None:
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
        taken = range_masks(held.seats)
        if any(mask & ~rows[row] for row, mask in taken):
            fold.refuse(fields, Reason.REFUND_DUE, known)
            return
        for row, mask in taken:
            section.take(row, mask)
        kind = Later.REACQUIRED
        epoch += 1
    section.sell(sum(count for _, _, count in held.seats))
    _decide_later(fold, known, held, kind, fields[5], epoch)


def release(fold: Fold, record: Record, fields: Fields, stored: bytes | None) -> None:
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


def _cancel_unknown(fold: Fold, record: Record, fields: Fields) -> None:
    """Remember a cancellation that came before its hold, so that the hold will be refused."""
    known = fold.find(record.key, fields)
    if isinstance(known, Reason):
        fold.refuse(fields, known, None)
        return
    if known is not None:
        fold.touch(known)
    cancelled = decided_now(fold, fields, known, Status.RELEASED, Reason.CANCELLED)
    fold.store(cancelled)
    fold.emit(cancelled.reservation_id, fold.first_outcome(cancelled), "CANCELLED_EARLY")


def extend(fold: Fold, record: Record, fields: Fields, stored: bytes | None) -> None:
    buyer = _known_buyer(fold, record, fields, stored)
    if buyer is None:
        return
    known, held = buyer
    reason = refusal_to_extend(held, fields[6])
    if reason is not None:
        fold.refuse(fields, reason, known)
        return
    assert known is not None
    for before in held.later:
        # A hold that is held has been extended at most.
        if correlation_of(before.request) == fields[2]:
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
    kept = EXTENSIONS_KEPT if fold.logic_version > 1 else 1
    fold.store(held.with_later(later, kept), deadline_ms)
    fold.emit(held.reservation_id, fold.later_outcome(held, later), Later.EXTENDED.name)


def lapse(fold: Fold) -> None:
    """End holds whose deadline has passed by both clocks, oldest deadline first, some a record."""
    state = fold.state
    horizon = horizon_ms(fold.log_time_ms, fold.timer_ms)
    fold.overdue = horizon >= state.next_due_ms
    allowance = LAPSES_PER_RECORD - fold.lapses()
    if not fold.overdue or not allowance:
        return
    due = state.due(horizon, allowance)
    fold.overdue = horizon >= state.next_due_ms
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
    fold: Fold,
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


def _give_back(section: Section, held: Reservation) -> None:
    for row, mask in range_masks(held.seats):
        section.give_back(row, mask)


def emit_again(fold: Fold, records: Sequence[Record]) -> None:
    """Emit what rewound records led to once more; their effects are in the state already."""
    _, _, keys = read(fold, records)
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
