"""One batch of cart-commands being folded: what every decision about a cart needs at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.topics import PAYMENT_COMMANDS, SECTION_COMMANDS
from state.domain.carts.life import given_up, unstarted
from state.domain.carts.limits import is_counted
from state.domain.carts.payment import Answer, Ask, Step, answer
from state.domain.carts.statuses import CartStatus
from state.domain.carts.values import Cart, Part
from state.domain.keys import (
    BUYER,
    CART,
    PROGRESS_KEY,
    cart_key,
    cart_payment_id,
    part_id,
    section_key,
)
from state.domain.reasons import Reason
from state.domain.reservation import PaymentFailure, SaleDecision
from state.records.cart_codecs import CartCodecs
from state.records.carts import CARTS, cart_of, carts_of_buyer
from state.records.names import SoldSeats
from streams.batch import Batch, State
from streams.folding.fold import Fold
from streams.patience import TELL_AGAIN_MS, TELL_AGAIN_MS_MAX, UNDECIDED_MS

PAYMENT_EPOCH: Final = 1
"""Epoch of every payment of a cart: a cart is paid for once."""

_METHOD: Final = "CART"
"""The method of a part's payment. No gateway has such a method: theirs are in small letters."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Names of the topics by which sections and payments are asked."""

    sections: str = SECTION_COMMANDS.name
    payments: str = PAYMENT_COMMANDS.name


ASKED: Final = Asked()


class CartFold(Fold):
    """One batch of cart-commands being folded into its partition.

    asked: names of the topics by which sections and payments are asked.
    """

    tick_name = CARTS + "CartTick"
    progress_key = PROGRESS_KEY

    __slots__ = ("asked", "codecs")

    def __init__(
        self,
        codecs: CartCodecs,
        batch: Batch,
        state: State,
        log_time_ms: int,
        asked: Asked = ASKED,
    ) -> None:
        super().__init__(codecs.records, batch, state, log_time_ms)
        self.codecs = codecs
        self.asked = asked

    def change(self, cart_id: bytes, before: Cart | None, after: Cart) -> None:
        """Store a changed cart; ask sections, and ask and answer payments, as the change needs."""
        is_extended = before is not None and before.extension != after.extension
        for number, part in enumerate(after.parts):
            known = Ask.NOTHING
            if before is not None and number < len(before.parts):
                known = Ask(before.parts[number].asked)
            if part.asked != known:
                self.ask(cart_id, after, number, Ask(part.asked))
            if is_extended and part.is_extending:
                self._extend(cart_id, after, number)
        self._follow_payment(cart_id, before, after)
        if is_counted(after) != (before is not None and is_counted(before)):
            self._list(cart_id, after)
        if before is None or before.status != after.status:
            self.count("CART_" + CartStatus(after.status).name)
        self.store(cart_id, after._replace(applied_offset=self.offset))

    def of_buyer(self, buyer: bytes) -> tuple[bytes, ...]:
        """Return the ids of a buyer's carts that count for limits; buyer: key of its records."""
        stored = self.state.get(BUYER + buyer)
        return () if stored is None else carts_of_buyer(stored)

    def _list(self, cart_id: bytes, cart: Cart) -> None:
        """List a cart among those that count for its buyer, or take it off the list."""
        buyer = cart_key(cart.event_id, cart.user_id)
        others = tuple(one for one in self.of_buyer(buyer) if one != cart_id)
        listed = (*others, cart_id) if is_counted(cart) else others
        if listed:
            self.state.put(BUYER + buyer, self.codecs.buyer(listed))
        else:
            self.state.delete(BUYER + buyer)

    def store(self, cart_id: bytes, cart: Cart) -> None:
        """Store a cart, with the time at which somebody is asked again."""
        self.put(CART + cart_id, self.codecs.stored(cart), _due_ms(cart, self.log_time_ms))

    def ask(self, cart_id: bytes, cart: Cart, number: int, ask: Ask) -> None:
        """Send the command to a part's section that asks for this; none for NOTHING."""
        part, commands = cart.parts[number], self.codecs.commands
        epoch = part.standing.epoch
        correlation = cart.correlation_id if ask <= Ask.RELEASE else cart.turn_id
        identity = self._identity(cart_id, cart, number, correlation)
        match ask:
            case Ask.HOLD if part.chosen:
                self._send(cart, part, commands.hold_chosen(identity, part.chosen))
            case Ask.HOLD if (party := cart.party_of(number)) is not None:
                or_fewer = party.takes_fewer(number)
                pieces = commands.hold_in_pieces(identity, part.seat_count, or_fewer=or_fewer)
                self._send(cart, part, pieces)
            case Ask.HOLD:
                self._send(cart, part, commands.hold_best(identity, part.seat_count))
            case Ask.RELEASE:
                self._send(cart, part, commands.release(identity))
            case Ask.START_PAYMENT:
                gateway = cart.payment.gateway.decode()
                start = commands.start_payment(identity, epoch, gateway, _METHOD, b"")
                self._send(cart, part, start)
            case Ask.SELL:
                self._send(cart, part, commands.confirm(identity, epoch))
            case Ask.FAIL_PAYMENT:
                cause = PaymentFailure(cart.payment.failure or PaymentFailure.DECLINED)
                self._send(cart, part, commands.fail_payment(identity, epoch, cause))
            case Ask.TAKE_BACK:
                self._send(cart, part, commands.refund_seats(identity, epoch))

    def payment_request(self, cart_id: bytes, cart: Cart) -> bytes:
        """Return the identity of a cart's payment; it names the section of the first part."""
        return self.codecs.commands.identity(
            cart_payment_id(cart_id).decode(),
            cart.user_id.decode(),
            cart.parts[0].section.decode(),
            cart.event_id,
            cart.payment.wish.decode(),
        )

    def tell_payments(
        self,
        cart_id: bytes,
        request: bytes,
        asked: int,
        said: Answer,
        epoch: int = PAYMENT_EPOCH,
        sold: tuple[SoldSeats, ...] = (),
    ) -> None:
        """Answer payments, on the partition of the cart.

        request: identity of the payment. asked: number of the Say that is answered. sold: the
        seats that the payment has bought.
        """
        is_known = said.reason not in {Reason.INTERNAL, Reason.UNKNOWN_RESERVATION}
        value = self.codecs.sale_decided(
            request,
            self.outcome_id(),
            asked,
            epoch,
            said.decision,
            said.reason,
            PAYMENT_EPOCH if is_known else 0,
            sold,
        )
        self.effects.to(self.asked.payments).append((cart_payment_id(cart_id), value))

    def answer(self, cart_id: bytes, cart: Cart) -> None:
        """Tell payments what the cart did, if it is done."""
        if (said := answer(cart.payment, cart.paid)) is not None:
            request = self.payment_request(cart_id, cart)
            sold = cart.sold if said.decision == SaleDecision.SOLD else ()
            self.tell_payments(cart_id, request, cart.payment.saying, said, sold=sold)

    def cannot_tell(self, cart_id: bytes, cart: Cart) -> None:
        """Tell payments that their wish kills the workers of a section."""
        if cart.payment.saying:
            request = self.payment_request(cart_id, cart)
            unknown = Answer(SaleDecision.REFUSED, Reason.INTERNAL)
            self.tell_payments(cart_id, request, cart.payment.saying, unknown)

    def _follow_payment(self, cart_id: bytes, before: Cart | None, after: Cart) -> None:
        if before is None or before.payment.turn == after.payment.turn:
            return
        self.count("CART_PAYMENT_" + Step(after.payment.step).name)
        if after.payment.step == Step.CHARGING:
            self._ask_payments(cart_id, after)
        if before.payment.saying == after.payment.saying:
            self.answer(cart_id, after)

    def _ask_payments(self, cart_id: bytes, cart: Cart) -> None:
        payment = cart.payment
        value = self.codecs.payment_requested(
            self.payment_request(cart_id, cart),
            self.outcome_id(),
            PAYMENT_EPOCH,
            payment.amount,
            payment.currency,
            payment.gateway,
            payment.method,
            payment.parameters,
            cart.payment_deadline_ms,
        )
        self.effects.to(self.asked.payments).append((cart_payment_id(cart_id), value))

    def tell_again(self) -> None:
        """Ask sections again that have not answered in time, or whose holds should be over."""
        for key, stored in self.due():
            cart_id, cart = key.removeprefix(CART), cart_of(stored)
            is_doubtful = any(part.is_doubtful for part in cart.parts)
            if is_doubtful and self.log_time_ms - cart.changed_at_ms >= UNDECIDED_MS:
                self.change(cart_id, cart, given_up(cart, self.log_time_ms))
                continue
            after = unstarted(cart, self.log_time_ms)
            if after is not cart:
                self.change(cart_id, cart, after)
                continue
            self.ask_again(cart_id, cart)
            self.store(cart_id, cart)

    def ask_again(self, cart_id: bytes, cart: Cart) -> None:
        """Ask everybody again who has not answered, or should have told the end of a hold."""
        if cart.payment.step == Step.CHARGING:
            self._ask_payments(cart_id, cart)
            self.count("ASKED_AGAIN")
        for number, part in enumerate(cart.parts):
            is_overdue = 0 < part.over_ms <= self.log_time_ms
            # A section that has the hold already does not hold anew, but tells how it stands.
            ask = Ask(part.asked) or (Ask.HOLD if is_overdue else Ask.NOTHING)
            if ask:
                self.ask(cart_id, cart, number, ask)
            elif part.is_extending:
                self._extend(cart_id, cart, number)
            else:
                continue
            self.count("ASKED_AGAIN")

    def _extend(self, cart_id: bytes, cart: Cart, number: int) -> None:
        part = cart.parts[number]
        identity = self._identity(cart_id, cart, number, cart.extension)
        self._send(cart, part, self.codecs.commands.extend(identity, part.standing.epoch))

    def _identity(self, cart_id: bytes, cart: Cart, number: int, correlation: bytes) -> bytes:
        return self.codecs.commands.identity(
            part_id(cart_id, number).decode(),
            cart.user_id.decode(),
            cart.parts[number].section.decode(),
            cart.event_id,
            correlation.decode(),
        )

    def _send(self, cart: Cart, part: Part, value: bytes) -> None:
        key = section_key(cart.event_id, part.section.decode())
        self.effects.to(self.asked.sections).append((key, value))


def _due_ms(cart: Cart, now_ms: int) -> int:
    """Return when somebody is asked again, Unix ms; 0 for never.

    Counted from when the waiting began, so that records about the cart do not put it off.
    """
    due = [_next_look_ms(part.over_ms, now_ms) for part in cart.parts if part.over_ms]
    if cart.is_waiting:
        due.append(_next_look_ms(cart.waits_since_ms, now_ms))
    if any(part.is_extending and part.over_ms > now_ms for part in cart.parts):
        # These pauses do not grow: the hold is soon over, and then its end is asked for.
        due.append(now_ms + TELL_AGAIN_MS - (now_ms - cart.changed_at_ms) % TELL_AGAIN_MS)
    return min(due, default=0)


def _next_look_ms(since_ms: int, now_ms: int) -> int:
    """Return the first time after now that lies 1, 2, 4, .. pauses behind `since_ms`."""
    waited_ms, pause_ms = now_ms - since_ms, TELL_AGAIN_MS
    while pause_ms <= waited_ms and pause_ms < TELL_AGAIN_MS_MAX:
        pause_ms *= 2
    if pause_ms > TELL_AGAIN_MS_MAX:
        pause_ms = (max(waited_ms, 0) // TELL_AGAIN_MS_MAX + 1) * TELL_AGAIN_MS_MAX
    return since_ms + pause_ms
