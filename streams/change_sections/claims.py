"""Payments that another shop claims: the section keeps the seats while the gateway is asked."""

from __future__ import annotations

from state.domain.keys import split_part_id
from state.domain.open_section import KnownSection
from state.domain.reasons import Reason
from state.domain.reservation import Later, Status, refusal_to_claim
from state.records.names import ClaimPayment
from streams.change_sections.decisions import Again, Changed, Decision, Refused
from streams.change_sections.fold import SectionFold
from streams.change_sections.payments import begun_now, claimed
from streams.change_sections.reservations import known_buyer


def claim_payment(
    fold: SectionFold,
    command: ClaimPayment,
    known: KnownSection | None,
    stored: bytes | None,
) -> Decision:
    held = known_buyer(fold, command, stored)
    if isinstance(held, Refused):
        return held._replace(payments=claimed(fold, command))
    if split_part_id(command.reservation_id) is not None:
        # Its cart alone is paid for; `check_claims` lets no such claim through.
        return Refused(Reason.CONFLICT)
    paid = command.amount, command.currency
    reason = refusal_to_claim(held, command.epoch, command.gateway, *paid)
    if reason is not None:
        # The price of this hold is not that of a claim with another epoch, or without a hold.
        is_known = reason not in {Reason.STALE_EPOCH, Reason.NOT_HELD}
        told = claimed(fold, command, held if is_known else None)
        return Refused(reason, payments=told)
    if held.status == Status.PAYING:
        begun = held.last(Later.PAYMENT_STARTED)
        assert begun is not None
        told = claimed(fold, command, held, begun.deadline_ms)
        return Again(fold.later_outcome(held, begun), told)
    assert known is not None
    # The sale may have ended meanwhile: the buyer has paid for a hold that was made in time.
    started, paying = begun_now(fold, command, known, held)
    return Changed(
        fold.later_outcome(paying, started),
        Later.PAYMENT_STARTED.name,
        paying,
        payments=claimed(fold, command, paying, started.deadline_ms),
    )
