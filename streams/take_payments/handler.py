"""Payment commands in; how payments stand, and commands to their sections, out.

This handler is the only writer of purchases: a partition's state is a fold of its records. Each
question to a gateway is an intent, whose answer comes back as a record.

Order of every decision: unreadable records, and those under a wrong key or on a wrong partition,
become dead letters; log time moves, and sections that have not answered are told again; then the
rules of `state.domain.purchases` decide.

Keys of the store: `u` + reservation id: Purchase; `g` + gateway + `:` + payment id: the purchase
that this capture is for; `c` + reservation id: the purchase needs a person; `n`: counts by status;
`p`: progress.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from schemas.topics import PAYMENT_EVENTS
from state.domain.keys import PURCHASE_COUNTS_KEY, may_store_of_payments
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Heard
from state.records.names import PaymentRequested
from state.records.payment_codecs import GatewayAnswered, PaymentCodecs
from state.records.payments import PAYMENTS, purchase_of
from streams.batch import Batch, Effects, Handler, Record, State
from streams.emit_ticks import emit_ticks
from streams.folding.batches import fold_batch, pass_over, progress_of
from streams.gateways.protocol import Gateway
from streams.route import RoleTopics, Route
from streams.take_payments.contradictions import contradiction
from streams.take_payments.decide import (
    REQUESTED,
    decide_all,
    emit_again,
    gateway_answered,
    key_of,
    never_begun,
)
from streams.take_payments.fold import PaymentFold, Setup
from streams.take_payments.performers import GatewayPerformers
from streams.take_payments.questions import CALL_MS, told_answers

ROLE: Final = "payments"


def route(
    topics: RoleTopics,
    codecs: PaymentCodecs,
    gateways: Sequence[Gateway],
    call_ms: int = CALL_MS,
) -> Route:
    """Return the route of the only writer of purchases, and the only one that calls gateways.

    gateways: those that may be asked. call_ms: how long one call may take.
    """
    setup, performers = Setup(codecs, call_ms=call_ms), GatewayPerformers(gateways)
    return Route(
        *topics.through(take_payments(setup)),
        by_key=topics.by_key,
        progress=progress,
        tick=emit_ticks(codecs.tick),
        refuse=refuse_poison(setup),
        counts=counts(codecs),
        owns=may_store_of_payments,
        contradiction=contradiction(codecs),
        performers=performers.by_destination,
        answer=told_answers(codecs),
        close=performers.close,
    )


def take_payments(setup: Setup, *, events: str = PAYMENT_EVENTS.name) -> Handler:
    """Return the handler of payment-commands.

    events: name of the topic that tells how payments stand.
    """

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        fold = PaymentFold(setup, batch, state, log_time_ms)
        return fold_batch(
            fold,
            events,
            tell_again=emit_again,
            decide=decide_all,
            settle=PaymentFold.keep_counts,
        )

    return handle


progress = progress_of(PaymentFold)
"""Returns how far a partition's state has come."""


def counts(codecs: PaymentCodecs) -> Callable[[State], Mapping[str, int]]:
    """Return a function that counts the purchases of a partition by status."""

    def count(state: State) -> Mapping[str, int]:
        stored = state.get(PURCHASE_COUNTS_KEY)
        (kept,) = codecs.read_counts(stored, 0) if stored is not None else ((),)
        by_status = zip(PurchaseStatus, [*kept, *([0] * len(PurchaseStatus))], strict=False)
        return {status.name: number for status, number in by_status if status}

    return count


def refuse_poison(
    setup: Setup, *, events: str = PAYMENT_EVENTS.name
) -> Callable[[Batch, State, Record, int], Effects]:
    """Return what passes over a record that no handler survived.

    A payment that cannot begin has failed, and its seats go back. An answer counts as none, so its
    gateway is asked again. Any other record changes nothing.
    """

    def refuse(batch: Batch, state: State, record: Record, log_time_ms: int) -> Effects:
        fold = PaymentFold(setup, batch, state, log_time_ms)
        told = pass_over(fold, record)
        if told is None:
            return fold.effects
        stored = state.get(key_of(told.fields)) if len(told.fields) > 1 else None
        known = None if stored is None else purchase_of(stored)
        if told.name == REQUESTED:
            never_begun(fold, record, PaymentRequested._make(told.fields), known)
        elif told.name == PAYMENTS + GatewayAnswered.__name__ and known is not None:
            said = GatewayAnswered._make(told.fields)
            unheard = said._replace(word=Heard.OPEN, amount=0, currency=b"", payment_id=b"")
            gateway_answered(fold, unheard, known)
        fold.keep_counts()
        if fold.outcomes:
            fold.effects.outgoing[events] = fold.outcomes
        return fold.effects

    return refuse
