"""What becomes of a reservation: confirmed, released, extended, lapsed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from state.domain.keys import section_key
from state.domain.layout import range_masks
from state.domain.open_section import KnownSection
from state.domain.reasons import Reason
from state.domain.reservation import (
    EXTENSIONS_KEPT,
    Later,
    LaterOutcome,
    Reservation,
    Status,
    epoch_meant,
    extended_deadline_ms,
    refusal_to_confirm,
    refusal_to_extend,
    refusal_to_release,
)
from state.domain.section import Section
from state.records.names import ConfirmReservation, ExtendHold, LaterCommand, ReleaseReservation
from state.records.reservation import correlation_of
from streams.change_sections.carts import tell_lapsed
from streams.change_sections.decisions import Again, Changed, Decision, Refused
from streams.change_sections.fold import Decide, SectionFold
from streams.change_sections.holds import decided_now


def known_buyer(
    fold: SectionFold, command: LaterCommand, stored: bytes | None
) -> Refused | Reservation:
    """Return the reservation of a later command, or the first reason against asking about it."""
    if stored is None:
        return Refused(Reason.UNKNOWN_RESERVATION)
    reservation = fold.reservation(stored)
    if (reservation.section_id, reservation.event_id) != (command.section, command.event_id):
        return Refused(Reason.CONFLICT)
    if reservation.user_id != command.user_id:
        return Refused(Reason.FORBIDDEN)
    return reservation


OfHold = Callable[[SectionFold, Any, KnownSection | None, Reservation], Decision]
OfEnd = Callable[[SectionFold, Any, KnownSection, Reservation], Decision]
Refusal = Callable[[Reservation, int], Reason | None]
"""Returns why a reservation refuses what is asked of it under an epoch; None where it does not."""


def of_hold(decide: OfHold) -> Decide:
    """Return what decides a command by the reservation that its buyer asks about."""

    def decided(
        fold: SectionFold, command: LaterCommand, known: KnownSection | None, stored: bytes | None
    ) -> Decision:
        held = known_buyer(fold, command, stored)
        return held if isinstance(held, Refused) else decide(fold, command, known, held)

    return decided


def of_end(refusal: Refusal, end: Status) -> Callable[[OfEnd], Decide]:
    """Return what decides a command that brings a reservation to this end; a repeat is told so."""

    def deciding(decide: OfEnd) -> Decide:
        def decided(
            fold: SectionFold, command: LaterCommand, known: KnownSection | None, held: Reservation
        ) -> Decision:
            reason = refusal(held, command.epoch)
            if reason is not None:
                return Refused(reason)
            if held.status == end:
                return fold.end_again(held)
            assert known is not None
            return decide(fold, command, known, held)

        return of_hold(decided)

    return deciding


def of_money(refusal: Refusal) -> Refusal:
    """Return the refusal to who knows of money: the epoch is what such a one means by it."""
    return lambda held, epoch: refusal(held, epoch_meant(held, epoch))


@of_end(of_money(refusal_to_confirm), Status.SOLD)
def confirm(
    fold: SectionFold, command: ConfirmReservation, known: KnownSection, reservation: Reservation
) -> Decision:
    section, epoch = known.section, reservation.epoch
    kind = Later.CONFIRMED
    if reservation.status == Status.RELEASED:
        rows = section.rows
        taken = range_masks(reservation.seats)
        if any(mask & ~rows[row] for row, mask in taken):
            return Refused(Reason.REFUND_DUE)
        for row, mask in taken:
            section.take(row, mask)
        kind = Later.REACQUIRED
        epoch += 1
    section.sell(seat_count(reservation))
    return ended(fold, known, reservation, kind, command.request, epoch)


@of_end(refusal_to_release, Status.RELEASED)
def _release(
    fold: SectionFold, command: ReleaseReservation, known: KnownSection, held: Reservation
) -> Decision:
    give_back(known.section, held)
    return ended(fold, known, held, Later.CANCELLED, command.request, held.epoch)


def release(
    fold: SectionFold,
    command: ReleaseReservation,
    known: KnownSection | None,
    stored: bytes | None,
) -> Decision:
    if stored is None:
        # The cancellation came before its hold: remembered, so that the hold will be refused.
        cancelled = decided_now(fold, command, known, Status.RELEASED, Reason.CANCELLED)
        return Changed(fold.first_outcome(cancelled), "CANCELLED_EARLY", cancelled)
    return _release(fold, command, known, stored)


@of_hold
def extend(
    fold: SectionFold, command: ExtendHold, known: KnownSection | None, held: Reservation
) -> Decision:
    reason = refusal_to_extend(held, command.epoch)
    if reason is not None:
        return Refused(reason)
    assert known is not None
    for before in held.later:
        # A hold that is held has been extended at most.
        if correlation_of(before.request) == command.correlation_id:
            return Again(fold.later_outcome(held, before))
    deadline_ms = extended_deadline_ms(
        fold.log_time_ms, held.held_at_ms, known.hold_ms, known.max_hold_ms
    )
    if deadline_ms <= held.deadline_ms:
        return Refused(Reason.EXTENSION_CAP)
    # The section itself does not change, so its version stays.
    later = LaterOutcome(
        Later.EXTENDED,
        command.request,
        fold.offset,
        0,
        known.section.version,
        fold.log_time_ms,
        held.epoch,
        deadline_ms,
    )
    kept = EXTENSIONS_KEPT if fold.logic_version > 1 else 1
    return Changed(
        fold.later_outcome(held, later),
        Later.EXTENDED.name,
        held.with_later(later, kept),
        deadline_ms,
    )


def lapse(fold: SectionFold) -> None:
    """End holds whose deadline has passed by both clocks, oldest deadline first, some a record."""
    for ordinal, (_, stored) in enumerate(fold.due(), 1):
        held = fold.reservation(stored)
        known = fold.section(section_key(held.event_id, held.section_id.decode()))
        assert known is not None
        fold.touch(known)
        give_back(known.section, held)
        lapsed = ended(fold, known, held, Later.LAPSED, held.request, held.epoch, ordinal)
        fold.change(held.reservation_id, lapsed)
        tell_lapsed(fold, held.reservation_id, ordinal)


def ended(
    fold: SectionFold,
    known: KnownSection,
    reservation: Reservation,
    kind: Later,
    request: bytes,
    epoch: int,
    ordinal: int = 0,
) -> Changed:
    """Return what ends a hold, payment or sale, or takes seats again; they have moved already."""
    section = known.section
    section.version += 1
    later = LaterOutcome(
        kind, request, fold.offset, ordinal, section.version, fold.log_time_ms, epoch, 0
    )
    outcome = fold.later_outcome(reservation, later)
    return Changed(outcome, kind.name, reservation.with_later(later))


def seat_count(reservation: Reservation) -> int:
    return sum(count for _, _, count in reservation.seats)


def give_back(section: Section, reservation: Reservation) -> None:
    """Free held seats."""
    for row, mask in range_masks(reservation.seats):
        section.give_back(row, mask)
