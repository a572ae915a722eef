"""Payments for reservations: started, failed, refunded; and what payments are told of seats.

Whether money came in, and when there is an end to waiting for it, payments alone know. The section
keeps the seats of a payment that was started until it hears; of each word it tells what it did.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from state.domain.keys import split_part_id
from state.domain.open_section import KnownSection
from state.domain.purchases.values import Say
from state.domain.reasons import Reason
from state.domain.reservation import (
    FAILED_BY,
    RELEASED_BY,
    Later,
    LaterOutcome,
    PaymentFailure,
    Reservation,
    SaleDecision,
    Status,
    refusal_to_fail,
    refusal_to_pay,
    refusal_to_refund,
)
from state.records.names import (
    ClaimPayment,
    ConfirmReservation,
    FailPayment,
    RefundSeats,
    SaleCommand,
    StartPayment,
)
from state.records.payments import COMPLETED
from state.records.reservation import correlation_of
from streams.change_sections.decisions import Again, Changed, Decision, Refused
from streams.change_sections.fold import COMMANDS, Decide, SectionFold
from streams.change_sections.reservations import (
    ended,
    give_back,
    of_end,
    of_hold,
    of_money,
    seat_count,
)
from streams.folding.fold import Fields

SILENCE_MS_MAX: Final = 86_400_000
"""So far behind the log's time the start of a payment is believed to have been appended."""

# What each command of payments asks for.
_ASKED: Final = {
    ConfirmReservation: Say.SELL_SEATS,
    FailPayment: Say.RELEASE_SEATS,
    RefundSeats: Say.TAKE_SEATS_BACK,
}
_SALE_COMMANDS: Final[dict[str, Callable[[Fields], SaleCommand]]] = {
    COMMANDS + kind.__name__: kind._make for kind in (ConfirmReservation, FailPayment, RefundSeats)
}
_START: Final = COMMANDS + StartPayment.__name__
_CLAIM: Final = COMMANDS + ClaimPayment.__name__

_DECIDED_BY: Final = {
    Later.CONFIRMED: SaleDecision.SOLD,
    Later.REACQUIRED: SaleDecision.SOLD,
    Later.REFUNDED: SaleDecision.REFUNDED,
    **dict.fromkeys(RELEASED_BY, SaleDecision.RELEASED),
}


@of_hold
def start_payment(
    fold: SectionFold, command: StartPayment, known: KnownSection | None, held: Reservation
) -> Decision:
    begun = _begun_before(held, command)
    if begun is not None:
        # The request may have been lost, or set aside: whoever asks again has it made again.
        # One that payments know already changes nothing there.
        is_due = held.status == Status.PAYING
        requested = _requested(fold, command, held, begun) if is_due else b""
        return Again(fold.later_outcome(held, begun), requested)
    reason = refusal_to_pay(held, command.epoch)
    if reason is not None:
        return Refused(reason)
    assert known is not None
    closed = known.refusal_at(fold.log_time_ms)
    if closed is not None:
        return Refused(closed)
    section = known.section
    if _is_sold_at_once(held):
        section.sell(seat_count(held))
        return ended(fold, known, held, Later.CONFIRMED, command.request, held.epoch)
    started, paying = begun_now(fold, command, known, held)
    return Changed(
        fold.later_outcome(paying, started),
        Later.PAYMENT_STARTED.name,
        # No time ends it, so it is not due any more.
        paying,
        payments=_requested(fold, command, paying, started),
    )


def _is_sold_at_once(held: Reservation) -> bool:
    """Say whether there is no payment to wait for; a part waits for that of its cart."""
    return held.is_free_of_charge and split_part_id(held.reservation_id) is None


def begun_now(
    fold: SectionFold,
    command: StartPayment | ClaimPayment,
    known: KnownSection,
    held: Reservation,
) -> tuple[LaterOutcome, Reservation]:
    """Return the start of a payment for what is held, and the reservation after it."""
    # The section itself does not change, so its version stays.
    started = LaterOutcome(
        Later.PAYMENT_STARTED,
        command.request,
        fold.offset,
        0,
        known.section.version,
        fold.log_time_ms,
        held.epoch,
        _begins_ms(fold) + known.payment_ms,
    )
    return started, held._replace(gateway=command.gateway).with_later(started)


def _begins_ms(fold: SectionFold) -> int:
    """Return from when the time for a payment runs: the log's time, or later its start's own.

    Time stands still after a silence, until a tick: a payment that is begun then would have
    expired at once. Nor may a broker's clock that jumped keep seats for as long as it likes.
    """
    return max(fold.log_time_ms, min(fold.appended_ms, fold.log_time_ms + SILENCE_MS_MAX))


def _begun_before(held: Reservation, command: StartPayment) -> LaterOutcome | None:
    """Return what a start that asked for the same as this one led to; None where none did."""
    if _is_sold_at_once(held):
        begun, meanwhile = held.last(Later.CONFIRMED), Status.SOLD
    elif held.gateway == command.gateway:
        begun, meanwhile = held.last(Later.PAYMENT_STARTED), Status.PAYING
    else:
        return None
    if begun is None or begun.epoch != command.epoch:
        return None
    # Once it has come to its end, only whoever began it is told again that he did.
    is_same = held.status == meanwhile or correlation_of(begun.request) == command.correlation_id
    return begun if is_same else None


@of_end(of_money(refusal_to_fail), Status.RELEASED)
def fail_payment(
    fold: SectionFold, command: FailPayment, known: KnownSection, paying: Reservation
) -> Decision:
    give_back(known.section, paying)
    kind = FAILED_BY[PaymentFailure(command.cause)]
    return ended(fold, known, paying, kind, command.request, paying.epoch)


@of_end(of_money(refusal_to_refund), Status.REFUNDED)
def refund_seats(
    fold: SectionFold, command: RefundSeats, known: KnownSection, sold: Reservation
) -> Decision:
    known.section.unsell(seat_count(sold))
    give_back(known.section, sold)
    return ended(fold, known, sold, Later.REFUNDED, command.request, sold.epoch)


# --- what payments are told -------------------------------------------------------------------


def telling(decide: Decide) -> Decide:
    """Return what decides a command of payments, and tells them what it decided."""

    def decided(
        fold: SectionFold,
        command: SaleCommand,
        known: KnownSection | None,
        stored: bytes | None,
    ) -> Decision:
        decision = decide(fold, command, known, stored)
        held = decision.reservation if isinstance(decision, Changed) else None
        if held is None and stored is not None:
            held = fold.reservation(stored)
        if isinstance(decision, Refused):
            # Also where no payment is known: money may have come in for one all the same.
            epoch = 0 if held is None else held.epoch
            return decision._replace(payments=refused(fold, command, decision.reason, epoch))
        assert isinstance(decision, Again | Changed)
        assert held is not None
        if isinstance(decision, Changed) and _is_plain(command, held):
            return decision
        end = held.last_end
        assert end is not None
        return decision._replace(payments=_decided(fold, command, held, end))

    return decided


def _is_plain(command: SaleCommand, held: Reservation) -> bool:
    """Say whether seats are sold without payments: nobody asks for an answer but the outcome.

    Should it be payments all the same, they ask again, and a repeat is answered.
    """
    return isinstance(command, ConfirmReservation) and not held.has_payment


def refused(fold: SectionFold, command: SaleCommand, reason: Reason, epoch: int) -> bytes:
    """Return the answer to a command of payments that changed nothing.

    epoch: of the reservation as it stands; 0 where nobody could look.
    """
    return fold.codecs.sale_decided(
        command.request,
        fold.outcome_id(),
        _ASKED[type(command)],
        command.epoch,
        SaleDecision.REFUSED,
        reason,
        epoch,
        (),
    )


def told_before(
    fold: SectionFold, name: str, fields: Fields, held: Reservation, later: LaterOutcome
) -> bytes:
    """Return what payments were told when the present record decided `later`; maybe nothing."""
    if name == _START:
        is_free = not held.has_payment
        return b"" if is_free else _requested(fold, StartPayment._make(fields), held, later)
    if name == _CLAIM:
        return claimed(fold, ClaimPayment._make(fields), held, later.deadline_ms)
    named = _SALE_COMMANDS.get(name)
    if named is None or _is_plain(command := named(fields), held):
        return b""
    return _decided(fold, command, held, later)


def _requested(
    fold: SectionFold, command: StartPayment, paying: Reservation, started: LaterOutcome
) -> bytes:
    # What the gateway needs of the buyer goes on from here, and is stored nowhere.
    return fold.codecs.payment_requested(
        started.request,
        fold.outcome_id(),
        started.epoch,
        paying.amount,
        paying.currency,
        command.gateway,
        command.method,
        command.parameters,
        started.deadline_ms,
    )


def claimed(
    fold: SectionFold,
    command: ClaimPayment,
    held: Reservation | None = None,
    deadline_ms: int = 0,
) -> bytes:
    """Return the PaymentRequested of a claim. A refused claim has one too: money may be captured.

    held:        the reservation that is paid for; None makes the amount 0, so that whatever was
                 captured goes back.
    deadline_ms: until when the seats are kept; 0 where they are not.
    """
    amount, currency = (0, b"") if held is None else (held.amount, held.currency)
    return fold.codecs.payment_requested(
        command.request,
        fold.outcome_id(),
        command.epoch,
        amount,
        currency,
        command.gateway,
        COMPLETED,
        command.payment_id,
        deadline_ms,
    )


def _decided(
    fold: SectionFold, command: SaleCommand, held: Reservation, end: LaterOutcome
) -> bytes:
    decision = _DECIDED_BY[Later(end.kind)]
    is_sold = decision == SaleDecision.SOLD
    sold = [(held.section_id, *seats) for seats in held.seats] if is_sold else ()
    return fold.codecs.sale_decided(
        command.request,
        fold.outcome_id(),
        _ASKED[type(command)],
        command.epoch,
        decision,
        Reason.UNSPECIFIED,
        end.epoch,
        sold,
    )
