"""Commands of operators: sections opened, sale windows changed, seats blocked and unblocked."""

from __future__ import annotations

from collections.abc import Sequence

from state.domain.keys import BLOCKED, LAYOUT
from state.domain.layout import Layout, SeatPosition, invalid, invalid_window, range_masks
from state.domain.reasons import Reason
from state.domain.section import Section
from state.records.section import (
    PLAN_AT,
    WINDOW_AT,
    KnownSection,
    known_section,
    plan_of,
    with_window,
    write_section,
)
from streams.batch import Record
from streams.change_sections.fold import Fields, Fold


def open_section(fold: Fold, record: Record, fields: Fields, stored: bytes | None) -> None:  # noqa: ARG001
    known = fold.find(record.key, fields)
    if isinstance(known, Reason):
        fold.refuse(fields, known, None)
        return
    if known is None:
        known = _open_new(fold, fields)
        if known is None:
            return
    else:
        layout = fold.state.get(LAYOUT + known.key)
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


def _open_new(fold: Fold, fields: Fields) -> KnownSection | None:
    """Open a section, or refuse its plan and return None."""
    codecs = fold.codecs
    plan = plan_of(fields)
    if invalid(plan) is not None:
        fold.refuse(fields, Reason.BAD_LAYOUT, None)
        return None
    section = Section.empty(Layout.of(plan.rows), plan.rules)
    for row, mask in range_masks(plan.blocked):
        section.block(row, mask)
    known = known_section(b"%d-%s" % (fields[4], fields[3]), fields, section)
    layout = codecs.layout(*fields[5:])
    if max(len(layout), len(write_section(codecs, known))) > fold.state_bytes_max:
        fold.refuse(fields, Reason.STATE_TOO_LARGE, None)
        return None
    section.version = 1
    fold.state.put(LAYOUT + known.key, layout)
    if plan.blocked:
        blocked = [0] * len(section.rows)
        for row, mask in range_masks(plan.blocked):
            blocked[row] |= mask
        fold.state.put(BLOCKED + known.key, codecs.blocked_seats(section.layout.pack(blocked)))
    fold.cache.add(known)
    fold.touch(known)
    return known


def change_sale_window(
    fold: Fold,
    record: Record,
    fields: Fields,
    stored: bytes | None,  # noqa: ARG001
) -> None:
    """Let holds in within another window; what is held or sold stays so."""
    codecs = fold.codecs
    known = fold.find(record.key, fields)
    if isinstance(known, Reason):
        fold.refuse(fields, known, None)
        return
    if known is None:
        fold.refuse(fields, Reason.UNKNOWN_SECTION, None)
        return
    section = fold.touch(known)
    window = fields[PLAN_AT:]
    if invalid_window(*window) is not None:
        fold.refuse(fields, Reason.BAD_LAYOUT, known)
        return
    layout = fold.state.get(LAYOUT + known.key)
    assert layout is not None
    _, _, _, _, _, *opened = codecs.read_layout(layout, 0)
    if tuple(opened[WINDOW_AT:]) != window:
        fold.state.put(LAYOUT + known.key, codecs.layout(*opened[:WINDOW_AT], *window))
        fold.put_in_place(with_window(known, *window))
        section.version += 1
    outcome = codecs.window_changed(
        fields[5], fold.outcome_id(), section.version, fold.log_time_ms, *window
    )
    fold.emit(fields[0], outcome, "SALE_WINDOW_CHANGED")


def block_seats(fold: Fold, record: Record, fields: Fields, stored: bytes | None) -> None:  # noqa: ARG001
    _change_blocked(fold, record, fields, block=True)


def unblock_seats(fold: Fold, record: Record, fields: Fields, stored: bytes | None) -> None:  # noqa: ARG001
    _change_blocked(fold, record, fields, block=False)


def _change_blocked(fold: Fold, record: Record, fields: Fields, *, block: bool) -> None:
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
    stored = fold.state.get(BLOCKED + known.key)
    blocked = (
        [0] * len(section.rows)
        if stored is None
        else section.layout.unpack(codecs.read_blocked(stored, 0)[0])
    )
    for row, mask in range_masks(seats):
        missing = mask & ~(section.rows if block else blocked)[row]
        if missing:
            seat = SeatPosition(row, (missing & -missing).bit_length() - 1)
            reason = Reason.SEAT_TAKEN if block else Reason.NOT_BLOCKED
            fold.refuse(fields, reason, known, seat)
            return
    for row, mask in range_masks(seats):
        blocked[row] ^= mask
        if block:
            section.block(row, mask)
        else:
            section.unblock(row, mask)
    section.version += 1
    fold.state.put(BLOCKED + known.key, codecs.blocked_seats(section.layout.pack(blocked)))
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
