"""Hold commands: seats, or the first reason against them."""

from __future__ import annotations

from typing import Final

from state.domain.allocation import best_available, chosen
from state.domain.carts.splitting import as_many_in_pieces, in_pieces
from state.domain.keys import RESERVATION, cart_of_payment
from state.domain.layout import SEATS_PER_HOLD_MAX, SeatPosition, SeatRange, range_masks
from state.domain.open_section import KnownSection
from state.domain.reasons import Reason
from state.domain.reservation import Reservation, Status
from state.records.names import (
    Command,
    Hold,
    HoldBestAvailable,
    HoldChosenSeats,
    HoldInPieces,
    Seat,
    identity_of,
)
from streams.change_sections.decisions import Again, Changed, Decision, Refused, Rejected
from streams.change_sections.fold import SectionFold

# Reservation id, encoded identity and count of seats of a hold command.
Asked = tuple[bytes, bytes, int]

_REJECTED: Final = int(Status.REJECTED)
# `name` of an enum's member is a property, and takes as long as the rest of counting.
_NAME_BY_REASON: Final = {reason: reason.name for reason in Reason}


def hold_best(
    fold: SectionFold,
    command: HoldBestAvailable,
    known: KnownSection | None,
    stored: bytes | None,
) -> Decision:
    return _hold(fold, command, known, stored, None)


def hold_in_pieces(
    fold: SectionFold,
    command: HoldInPieces,
    known: KnownSection | None,
    stored: bytes | None,
) -> Decision:
    return _hold(fold, command, known, stored, None)


def hold_chosen(
    fold: SectionFold,
    command: HoldChosenSeats,
    known: KnownSection | None,
    stored: bytes | None,
) -> Decision:
    return _hold(fold, command, known, stored, command.seats)


def _hold(
    fold: SectionFold,
    command: Hold,
    known: KnownSection | None,
    stored: bytes | None,
    wanted: tuple[Seat, ...] | None,
) -> Decision:
    """Decide a hold; `wanted` is None for seats of the section's choice."""
    if cart_of_payment(command.reservation_id) is not None:
        # The id of a cart's payment: it would be two payments.
        return Refused(Reason.CONFLICT)
    kept = _kept(wanted or ())
    if stored is not None:
        return _hold_again(fold, command, fold.reservation(stored), kept)
    found = _choose(fold, command, known, wanted)
    if isinstance(found, list):
        assert known is not None
        return _set_aside(fold, known, command, kept, tuple(found))
    reason, seat = found
    return Rejected(reason, seat, kept, is_stored=True)


def _kept(wanted: tuple[Seat, ...]) -> tuple[Seat, ...]:
    """Return what is stored of the listed seats: none of more than any section lets anybody hold.

    Such a list is rejected whatever it says, and as long as its sender likes.
    """
    return wanted if len(wanted) <= SEATS_PER_HOLD_MAX else ()


def reject(
    fold: SectionFold,
    asked: Asked,
    known: KnownSection | None,
    reason: Reason,
    seat: SeatPosition | None = None,
    wanted: tuple[Seat, ...] = (),
) -> None:
    """Reject a hold for good: whatever comes under its id gets this answer.

    asked: its reservation id, its encoded identity, its count of seats.
    """
    # Encoded without a Reservation between, for a section that is sold out rejects most.
    codecs = fold.codecs
    log_time_ms = fold.log_time_ms
    version = 0 if known is None else known.section.version
    reservation_id, request, count = asked
    fold.state.put(
        RESERVATION + reservation_id,
        codecs.reservation(
            request,
            count,
            wanted,
            _REJECTED,
            0,
            log_time_ms,
            0,
            fold.offset,
            version,
            (),
            reason,
            seat,
            (),
            0,
            b"",
            b"",
        ),
    )
    outcome = codecs.rejected(request, fold.outcome_id(), version, log_time_ms, reason, seat)
    fold.emit(reservation_id, outcome, _NAME_BY_REASON[reason])


def _choose(
    fold: SectionFold,
    command: Hold,
    known: KnownSection | None,
    wanted: tuple[Seat, ...] | None,
) -> list[SeatRange] | tuple[Reason, SeatPosition | None]:
    """Return the seats for a hold, or the first reason against it in documented order."""
    count = command.seat_count
    if known is None:
        return Reason.UNKNOWN_SECTION, None
    closed = known.refusal_at(fold.log_time_ms)
    if closed is not None:
        return closed, None
    takes_fewer = isinstance(command, HoldInPieces) and command.or_fewer
    if takes_fewer:
        count = min(count, known.max_seats_per_hold)
    if not 1 <= count <= known.max_seats_per_hold:
        return Reason.BAD_COUNT, None
    if isinstance(command, HoldInPieces):
        choose = as_many_in_pieces if takes_fewer else in_pieces
        pieces = choose(known.section, count)
        return (pieces, None) if isinstance(pieces, Reason) else pieces
    if wanted is None:
        found = best_available(known.section, count)
        return (found, None) if isinstance(found, Reason) else [SeatRange(*found, count)]
    if len(wanted) != count:
        return Reason.BAD_COUNT, None
    return chosen(known.section, wanted)


def _hold_again(
    fold: SectionFold, command: Hold, reservation: Reservation, wanted: tuple[Seat, ...]
) -> Decision:
    """Answer a hold whose id is known: as before, or with a conflict; wanted: as it is kept."""
    same_buyer = reservation.is_of(command.user_id, command.event_id, command.section)
    if same_buyer and reservation.status == Status.RELEASED and not reservation.was_held:
        # The cancellation overtook its hold; it stands, and is not overwritten.
        return Rejected(Reason.CANCELLED)
    before = reservation.seat_count, _kept(reservation.chosen)
    if same_buyer and before == (command.seat_count, wanted):
        return Again(fold.first_outcome(reservation))
    return Refused(Reason.CONFLICT)


def reject_unstored(
    fold: SectionFold, command: Hold, known: KnownSection | None, reason: Reason
) -> None:
    """Reject a hold without storing it."""
    version = 0 if known is None else known.section.version
    outcome = fold.codecs.rejected(
        command.request, fold.outcome_id(), version, fold.log_time_ms, reason, None
    )
    fold.emit(command.reservation_id, outcome, reason.name)


def _set_aside(
    fold: SectionFold,
    known: KnownSection,
    command: Hold,
    wanted: tuple[Seat, ...],
    seats: tuple[SeatRange, ...],
) -> Changed:
    """Hold seats that were found free."""
    section = known.section
    for row, mask in range_masks(seats):
        section.take(row, mask)
    section.version += 1
    deadline_ms = fold.log_time_ms + known.hold_ms
    held = decided_now(fold, command, known, Status.HELD, Reason.UNSPECIFIED)._replace(
        seat_count=command.seat_count,
        chosen=wanted,
        epoch=1,
        first_deadline_ms=deadline_ms,
        seats=seats,
        amount=known.prices.of_ranges(seats),
        currency=known.prices.currency,
    )
    return Changed(fold.first_outcome(held), Status.HELD.name, held, deadline_ms)


def decided_now(
    fold: SectionFold, command: Command, known: KnownSection | None, status: Status, reason: Reason
) -> Reservation:
    """Return a reservation that this record decides, without seats."""
    return Reservation(
        *identity_of(command),
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
