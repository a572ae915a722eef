"""Hold commands: seats, or the first reason against them."""

from __future__ import annotations

from typing import Final

from state.domain.allocation import best_available, chosen
from state.domain.keys import RESERVATION
from state.domain.layout import SeatPosition, SeatRange, range_masks
from state.domain.reasons import Reason
from state.domain.reservation import Reservation, Status
from state.records.section import PLAN_AT, KnownSection
from streams.change_sections.decisions import Again, Changed, Decision, Refused, Rejected
from streams.change_sections.fold import SectionFold
from streams.folding.fold import Fields

_REJECTED: Final = int(Status.REJECTED)
# `name` of an enum's member is a property, and takes as long as the rest of counting.
_NAME_BY_REASON: Final = {reason: reason.name for reason in Reason}


def hold_best(
    fold: SectionFold, fields: Fields, known: KnownSection | None, stored: bytes | None
) -> Decision:
    return _hold(fold, fields, known, stored, None)


def hold_chosen(
    fold: SectionFold, fields: Fields, known: KnownSection | None, stored: bytes | None
) -> Decision:
    return _hold(fold, fields, known, stored, fields[7])


def _hold(
    fold: SectionFold,
    fields: Fields,
    known: KnownSection | None,
    stored: bytes | None,
    wanted: tuple[SeatPosition, ...] | None,
) -> Decision:
    """Decide a hold; `wanted` is None for best available seats."""
    if stored is not None:
        return _hold_again(fold, fields, fold.reservation(stored), wanted or ())
    found = _choose(fold, fields, known, wanted)
    if isinstance(found, list):
        assert known is not None
        return _set_aside(fold, known, fields, wanted or (), tuple(found))
    reason, seat = found
    return Rejected(reason, seat, wanted or (), is_stored=True)


def reject(
    fold: SectionFold,
    fields: Fields,
    known: KnownSection | None,
    wanted: tuple[SeatPosition, ...],
    reason: Reason,
    seat: SeatPosition | None,
) -> None:
    """Reject a hold for good: whatever comes under its id gets this answer."""
    # Encoded without a Reservation between, for a section that is sold out rejects most.
    codecs = fold.codecs
    log_time_ms = fold.log_time_ms
    version = 0 if known is None else known.section.version
    request, count = fields[5], fields[6]
    fold.state.put(
        RESERVATION + fields[0],
        codecs.reservation(
            request, count, wanted, _REJECTED, 0, log_time_ms, 0,
            fold.offset, version, (), reason, seat, (),
        ),
    )  # fmt: skip
    outcome = codecs.rejected(request, fold.outcome_id(), version, log_time_ms, reason, seat)
    fold.emit(fields[0], outcome, _NAME_BY_REASON[reason])


def _choose(
    fold: SectionFold,
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


def _hold_again(
    fold: SectionFold, fields: Fields, reservation: Reservation, wanted: tuple[SeatPosition, ...]
) -> Decision:
    """Answer a hold whose id is known: as before, or with a conflict."""
    same_buyer = (reservation.user_id, reservation.section_id, reservation.event_id) == (
        fields[1],
        fields[3],
        fields[4],
    )
    if same_buyer and reservation.status == Status.RELEASED and not reservation.was_held:
        # The cancellation overtook its hold; it stands, and is not overwritten.
        return Rejected(Reason.CANCELLED)
    if same_buyer and (reservation.seat_count, reservation.chosen) == (fields[6], wanted):
        return Again(fold.first_outcome(reservation))
    return Refused(Reason.CONFLICT)


def reject_unstored(
    fold: SectionFold, fields: Fields, known: KnownSection | None, reason: Reason
) -> None:
    """Reject a hold without storing it."""
    version = 0 if known is None else known.section.version
    outcome = fold.codecs.rejected(
        fields[5], fold.outcome_id(), version, fold.log_time_ms, reason, None
    )
    fold.emit(fields[0], outcome, reason.name)


def _set_aside(
    fold: SectionFold,
    known: KnownSection,
    fields: Fields,
    wanted: tuple[SeatPosition, ...],
    seats: tuple[SeatRange, ...],
) -> Changed:
    """Hold seats that were found free."""
    section = known.section
    for row, mask in range_masks(seats):
        section.take(row, mask)
    section.version += 1
    deadline_ms = fold.log_time_ms + known.hold_ms
    held = decided_now(fold, fields, known, Status.HELD, Reason.UNSPECIFIED)._replace(
        seat_count=fields[6], chosen=wanted, epoch=1, first_deadline_ms=deadline_ms, seats=seats
    )
    return Changed(fold.first_outcome(held), Status.HELD.name, held, deadline_ms)


def decided_now(
    fold: SectionFold, fields: Fields, known: KnownSection | None, status: Status, reason: Reason
) -> Reservation:
    """Return a reservation that this record decides, without seats."""
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
