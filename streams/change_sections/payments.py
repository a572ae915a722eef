"""Payments for reservations: started, failed, refunded."""

from __future__ import annotations

from state.domain.open_section import KnownSection
from state.domain.reasons import Reason
from state.records.names import FailPayment, RefundSeats, StartPayment
from streams.change_sections.decisions import Decision, Refused
from streams.change_sections.fold import SectionFold


def start_payment(
    _fold: SectionFold,
    _command: StartPayment,
    _known: KnownSection | None,
    _stored: bytes | None,
) -> Decision:
    return Refused(Reason.NOT_PRICED)


def fail_payment(
    _fold: SectionFold,
    _command: FailPayment,
    _known: KnownSection | None,
    _stored: bytes | None,
) -> Decision:
    return Refused(Reason.NOT_PAID)


def refund_seats(
    _fold: SectionFold,
    _command: RefundSeats,
    _known: KnownSection | None,
    _stored: bytes | None,
) -> Decision:
    return Refused(Reason.NOT_PAID)
