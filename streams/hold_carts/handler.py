"""Cart commands in; commands to sections, and requests and answers to payments, out.

The only writer of carts: the state of a partition is a fold of its records. All carts of a buyer
and event have the same key, so one worker knows them all. There are no locks: all sections of a
cart are asked at the same time, and by the rules of `state.domain.carts` the cart follows what
they tell (`PartDecided`).

Order of every decision: unreadable records, and those under a wrong key or on a wrong partition,
go to the dead letters; log time moves, and sections that have not answered are asked again; then
the cart's rules are asked.

Keys of the store: `k` + cart id: Cart; `h` + key of the buyer: those of his carts that count
for limits; `p`: progress.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from state.domain.carts.payment import Answer
from state.domain.keys import cart_of_payment, may_store_of_carts
from state.domain.reasons import Reason
from state.domain.reservation import SaleDecision
from state.records.cart_codecs import CartCodecs
from state.records.carts import CARTS
from state.records.names import SettleCart
from streams.batch import Batch, Effects, Handler, Record, State
from streams.emit_ticks import emit_ticks
from streams.folding.batches import fold_batch, pass_over, progress_of
from streams.hold_carts.contradictions import contradiction
from streams.hold_carts.decide import decide_all, emit_again
from streams.hold_carts.fold import ASKED, Asked, CartFold
from streams.route import RoleTopics, Route

ROLE: Final = "carts"


def route(topics: RoleTopics, codecs: CartCodecs) -> Route:
    """Return the route of the only writer of carts."""
    return Route(
        *topics.through(hold_carts(codecs)),
        by_key=topics.by_key,
        progress=progress,
        tick=emit_ticks(codecs.tick),
        refuse=refuse_poison(codecs),
        owns=may_store_of_carts,
        contradiction=contradiction,
    )


def hold_carts(codecs: CartCodecs, *, asked: Asked = ASKED) -> Handler:
    """Return the handler.

    asked: names of the topics by which sections and payments are asked.
    """

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        fold = CartFold(codecs, batch, state, log_time_ms, asked)
        # No topic tells how carts stand: pods ask their owner.
        return fold_batch(
            fold, "", tell_again=emit_again, decide=decide_all, settle=lambda _: None
        )

    return handle


progress = progress_of(CartFold)
"""Tells how far a partition's state has come."""


def refuse_poison(codecs: CartCodecs) -> Callable[[Batch, State, Record, int], Effects]:
    """Return what passes over a record that no handler survived: it changes no cart.

    A cart that could not begin holds nothing. A section whose `PartDecided` is lost is asked
    again: while the cart waits for it, and when its hold should be over. Payments are told that
    the cart cannot say what became of its seats.
    """

    def refuse(batch: Batch, state: State, record: Record, log_time_ms: int) -> Effects:
        fold = CartFold(codecs, batch, state, log_time_ms)
        read = pass_over(fold, record)
        if read is not None and read.name == CARTS + SettleCart.__name__:
            said = SettleCart._make(read.fields)
            if (cart_id := cart_of_payment(said.reservation_id)) is not None:
                unknown = Answer(SaleDecision.REFUSED, Reason.INTERNAL)
                fold.tell_payments(cart_id, said.request, said.asked, unknown, said.epoch)
        return fold.effects

    return refuse
