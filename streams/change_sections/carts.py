"""What carts are told of their parts: how each stands, after whatever was asked of it.

A part is a reservation with the id of a cart's part. Its section treats it as any other, and tells
its cart the whole of how it stands: so no word depends on having heard the one before it.
"""

from __future__ import annotations

from state.domain.carts.values import Standing
from state.domain.keys import RESERVATION, cart_key, split_part_id
from state.domain.reasons import Reason
from state.domain.reservation import Reservation, Status
from state.records.names import (
    Command,
    ExtendHold,
    Hold,
    ReleaseReservation,
    SaleCommand,
    StartPayment,
)
from streams.change_sections.fold import SectionFold


def tell_cart(fold: SectionFold, command: Command) -> None:
    """Tell a cart how its part stands after a command; nothing where the id is no part's.

    Nor is anything told where nothing is stored: only a hold or a release would have been, and
    whatever else was asked of a part before its hold says nothing of that. Where another buyer has
    that id, or another section, who asked hears that it will never be held, and who has it hears
    nothing.
    """
    if split_part_id(command.reservation_id) is None:
        return
    stored = fold.state.get(RESERVATION + command.reservation_id)
    if stored is None:
        return
    held = fold.reservation(stored)
    if held.is_of(command.user_id, command.event_id, command.section):
        _tell(fold, held, command.correlation_id, fold.outcome_id())
    else:
        tell_undecided(fold, command, Reason.CONFLICT)


def tell_undecided(fold: SectionFold, command: Command, reason: Reason) -> None:
    """Tell a cart that nothing is known of its part here, and why.

    Of an extension only that it is answered: what is held stays held.
    """
    is_wish = isinstance(command, ExtendHold)
    is_asked = is_wish or isinstance(
        command, Hold | ReleaseReservation | StartPayment | SaleCommand
    )
    if is_asked and split_part_id(command.reservation_id) is not None:
        why = Reason.UNSPECIFIED if is_wish else reason
        unknown = Standing(offset=fold.offset, reason=why)
        value = fold.codecs.part_decided(
            command.request, fold.outcome_id(), command.correlation_id, unknown
        )
        fold.tell_carts(cart_key(command.event_id, command.user_id), value)


def tell_lapsed(fold: SectionFold, reservation_id: bytes, ordinal: int) -> None:
    """Tell a cart of its part that lapsed at the present record; nothing where it is no part."""
    if split_part_id(reservation_id) is not None:
        stored = fold.state.get(RESERVATION + reservation_id)
        assert stored is not None
        _tell(fold, fold.reservation(stored), b"", fold.outcome_id(ordinal))


def _tell(fold: SectionFold, held: Reservation, answers: bytes, outcome_id: bytes) -> None:
    value = fold.codecs.part_decided(held.request, outcome_id, answers, standing_of(held))
    fold.tell_carts(cart_key(held.event_id, held.user_id), value)


def standing_of(held: Reservation) -> Standing:
    """Return how a stored reservation stands."""
    offset, ordinal, version, decided_at_ms = held.last_decision
    is_timed = held.status in {Status.HELD, Status.PAYING}
    return Standing(
        offset=offset,
        ordinal=ordinal,
        status=held.status,
        epoch=held.epoch,
        deadline_ms=held.deadline_ms if is_timed else 0,
        version=version,
        decided_at_ms=decided_at_ms,
        seats=held.seats,
        amount=held.amount,
        currency=held.currency,
        reason=held.reason,
        seat=held.seat,
        cause=held.cause,
    )
