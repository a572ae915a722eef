"""Commands of operators: sections opened, sale windows changed, seats blocked and unblocked."""

from __future__ import annotations

from collections.abc import Sequence

from state.domain.keys import BLOCKED, LAYOUT
from state.domain.layout import Layout, SeatPosition, invalid, invalid_window, range_masks
from state.domain.open_section import KnownSection
from state.domain.reasons import Reason
from state.domain.section import Section
from state.records.names import OWN_FIELDS, BlockSeats, ChangeSaleWindow, OpenSection, UnblockSeats
from state.records.section import (
    known_section,
    plan_of,
    read_blocked,
    read_layout,
    write_blocked,
    write_layout,
)
from streams.change_sections.decisions import Changed, Decision, Refused
from streams.change_sections.fold import BESIDE_SEATS_BYTES_MAX, SectionFold


def open_section(
    fold: SectionFold,
    command: OpenSection,
    known: KnownSection | None,
    _stored: bytes | None,
) -> Decision:
    if known is None:
        return _open_new(fold, command)
    layout = fold.state.get(LAYOUT + known.key)
    assert layout is not None
    if read_layout(fold.codecs, layout)[OWN_FIELDS:] != command[OWN_FIELDS:]:
        return Refused(Reason.CONFLICT)
    return Changed(_opened(fold, command, known), "OPENED")


def _open_new(fold: SectionFold, command: OpenSection) -> Refused | Changed:
    codecs = fold.codecs
    plan = plan_of(command)
    if invalid(plan) is not None:
        return Refused(Reason.BAD_LAYOUT)
    shape = Layout.of(plan.rows)
    if shape.packed_bytes > fold.state_bytes_max - BESIDE_SEATS_BYTES_MAX:
        return Refused(Reason.STATE_TOO_LARGE)
    section = Section.empty(shape, plan.rules)
    for row, mask in range_masks(plan.blocked):
        section.block(row, mask)
    known = known_section(b"%d-%s" % (command.event_id, command.section), command, section)
    layout = write_layout(codecs, command)
    section.version = 1
    puts = [(LAYOUT + known.key, layout)]
    if plan.blocked:
        blocked = [0] * len(section.rows)
        for row, mask in range_masks(plan.blocked):
            blocked[row] |= mask
        puts.append((BLOCKED + known.key, write_blocked(codecs, section.layout, blocked)))
    return Changed(_opened(fold, command, known), "OPENED", puts=tuple(puts), known=known)


def _opened(fold: SectionFold, command: OpenSection, known: KnownSection) -> bytes:
    return fold.codecs.opened(
        command.request,
        fold.outcome_id(),
        known.section.version,
        fold.log_time_ms,
        known.section.layout.capacity,
        known.initial_blocked_count,
    )


def change_sale_window(
    fold: SectionFold,
    command: ChangeSaleWindow,
    known: KnownSection | None,
    _stored: bytes | None,
) -> Decision:
    """Let holds in within another window; what is held or sold stays so."""
    codecs = fold.codecs
    if known is None:
        return Refused(Reason.UNKNOWN_SECTION)
    window = command.sale_starts_ms, command.sale_ends_ms
    if invalid_window(*window) is not None:
        return Refused(Reason.BAD_LAYOUT)
    stored = fold.state.get(LAYOUT + known.key)
    assert stored is not None
    layout = read_layout(codecs, stored)
    section = known.section
    puts: tuple[tuple[bytes, bytes], ...] = ()
    changed = None
    if (layout.sale_starts_ms, layout.sale_ends_ms) != window:
        layout = layout._replace(
            sale_starts_ms=command.sale_starts_ms, sale_ends_ms=command.sale_ends_ms
        )
        puts = ((LAYOUT + known.key, write_layout(codecs, layout)),)
        changed = known.with_window(*window)
        section.version += 1
    outcome = codecs.window_changed(
        command.request, fold.outcome_id(), section.version, fold.log_time_ms, *window
    )
    return Changed(outcome, "SALE_WINDOW_CHANGED", puts=puts, known=changed)


def block_seats(
    fold: SectionFold,
    command: BlockSeats,
    known: KnownSection | None,
    _stored: bytes | None,
) -> Decision:
    return _change_blocked(fold, command, known, block=True)


def unblock_seats(
    fold: SectionFold,
    command: UnblockSeats,
    known: KnownSection | None,
    _stored: bytes | None,
) -> Decision:
    return _change_blocked(fold, command, known, block=False)


def _change_blocked(
    fold: SectionFold,
    command: BlockSeats | UnblockSeats,
    known: KnownSection | None,
    *,
    block: bool,
) -> Decision:
    """Take seats out of sale or bring them back, all or none."""
    codecs = fold.codecs
    if known is None:
        return Refused(Reason.UNKNOWN_SECTION)
    section = known.section
    seats = command.seats
    unknown = _unknown_seat(section.layout, seats)
    if unknown is not None:
        return Refused(Reason.UNKNOWN_SEAT, unknown)
    if not seats or any(count < 1 for _, _, count in seats):
        return Refused(Reason.BAD_COUNT)
    blocked = read_blocked(codecs, section.layout, fold.state.get(BLOCKED + known.key))
    for row, mask in range_masks(seats):
        missing = mask & ~(section.rows if block else blocked)[row]
        if missing:
            seat = SeatPosition(row, (missing & -missing).bit_length() - 1)
            reason = Reason.SEAT_TAKEN if block else Reason.NOT_BLOCKED
            return Refused(reason, seat)
    for row, mask in range_masks(seats):
        blocked[row] ^= mask
        if block:
            section.block(row, mask)
        else:
            section.unblock(row, mask)
    section.version += 1
    puts = ((BLOCKED + known.key, write_blocked(codecs, section.layout, blocked)),)
    encode = codecs.blocked if block else codecs.unblocked
    outcome = encode(command.request, fold.outcome_id(), section.version, fold.log_time_ms, seats)
    return Changed(outcome, "BLOCKED" if block else "UNBLOCKED", puts=puts)


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
