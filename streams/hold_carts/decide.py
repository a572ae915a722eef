"""Records of cart-commands in; what they change about carts, written into the fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from state.domain.carts.life import (
    begin,
    cancelled,
    extended,
    heard,
    paid,
    refusal_to_pay,
    refused,
    settled,
)
from state.domain.carts.limits import LISTED_MAX, Limits, exceeds
from state.domain.carts.payment import Answer, Ask, CartPayment
from state.domain.carts.statuses import OnFailure
from state.domain.carts.values import PARTS_MAX, Cart, Standing
from state.domain.keys import (
    CART,
    cart_key,
    cart_of_payment,
    is_cart_id,
    split_part_id,
)
from state.domain.layout import SEATS_PER_HOLD_MAX
from state.domain.purchases.values import Say
from state.domain.reasons import Reason
from state.domain.reservation import PaymentFailure, SaleDecision, Status
from state.records.carts import (
    CARTS,
    ExtendCart,
    OpenCart,
    PayCart,
    ReleaseCart,
    cart_of,
    part_wanted,
    party_wanted,
    standing_of,
)
from state.records.names import PartDecided, SettleCart
from streams.batch import Record
from streams.folding.commands import Kinds, by_full_name, each_command
from streams.folding.fold import Fields
from streams.folding.reading import read
from streams.hold_carts.fold import CartFold
from streams.placing import misplaced

UNKNOWN: Final = "UNKNOWN_CART"
ORPHAN: Final = "ORPHAN_PART"
"""A hold with the id of a part that no cart has; it is given back."""

Said = OpenCart | ReleaseCart | ExtendCart | PartDecided | PayCart | SettleCart


def key_of(fields: Fields) -> bytes:
    """Return the store key of the cart that a record is about; it names the cart or a part."""
    cart_id, _, _ = fields[0].partition(b"_")
    key: bytes = CART + cart_id
    return key


def decide_all(fold: CartFold, records: Sequence[Record]) -> None:
    for record, name, fields, stored in each_command(
        fold, records, key_of=key_of, end_due=CartFold.tell_again
    ):
        named, decide = _KINDS[name]
        said: Said = named(fields)
        if wrong := misplaced(fold.batch, record, cart_key(said.event_id, said.user_id)):
            fold.bury(record, wrong.reason, wrong.detail)
        else:
            decide(fold, record, said, None if stored is None else cart_of(stored))


def _open(fold: CartFold, record: Record, asked: OpenCart, known: Cart | None) -> None:
    """Begin a cart: all sections are asked for their parts at the same time."""
    wanted = tuple(part_wanted(*item[:3]) for item in asked.items)
    found = (party_wanted(number, item) for number, item in enumerate(asked.items))
    parties = tuple(party for party in found if party is not None)
    more = sum(len(party.sections) - 1 for party in parties)
    on_failure = OnFailure(asked.on_failure or OnFailure.RELEASE)
    if not is_cart_id(asked.cart_id) or not asked.cart_id.endswith(b"-%d" % fold.batch.partition):
        fold.bury(record, "BAD_CART_ID", f"{asked.cart_id!r} names another place")
    elif not (wanted and len(wanted) + more <= PARTS_MAX):
        fold.bury(record, Reason.BAD_COUNT.name, f"{len(wanted) + more} parts")
    elif more and on_failure == OnFailure.KEEP:
        # What can be had of a party is not what it wants.
        fold.bury(record, Reason.BAD_COUNT.name, "a party of several sections is held by halves")
    elif (listed := max(len(part.chosen) for part in wanted)) > SEATS_PER_HOLD_MAX:
        # No section would hold them, and the cart could not be read again.
        fold.bury(record, Reason.BAD_COUNT.name, f"{listed} seats in a part")
    elif known is None:
        cart = begin(
            asked.user_id,
            asked.event_id,
            asked.correlation_id,
            on_failure,
            wanted,
            fold.log_time_ms,
            parties,
        )
        fold.change(asked.cart_id, None, _within_limits(fold, asked, cart))
    else:
        # A pod compares the stored cart with the request, and finds whether it is a repeat.
        is_same = _is_of(asked, known) and known.on_failure == on_failure
        new = known._replace(parts=wanted, parties=parties)
        is_repeat = is_same and known.wanted == new.wanted
        fold.count("REPEATED" if is_repeat else Reason.CONFLICT.name)


def _within_limits(fold: CartFold, asked: OpenCart, cart: Cart) -> Cart:
    """Return a new cart, refused where its buyer would have more of the event than allowed.

    All carts of a buyer and event are decided here, one after the other.
    """
    limits = Limits(asked.max_seats_per_user, asked.max_open_holds_per_user)
    if not any(limits):
        return cart
    listed = fold.of_buyer(cart_key(asked.event_id, asked.user_id))
    stored = fold.state.get_many([CART + cart_id for cart_id in listed])
    carts = [cart_of(one) for one in stored if one is not None]
    limited = cart._replace(is_limited=True)
    if len(listed) >= LISTED_MAX or exceeds(limits, [*carts, cart]):
        return refused(limited, Reason.HOLD_LIMIT, fold.log_time_ms)
    return limited


def _release(fold: CartFold, _: Record, asked: ReleaseCart, known: Cart | None) -> None:
    if known is None or not _is_of(asked, known):
        fold.count(UNKNOWN)
    else:
        fold.change(asked.cart_id, known, cancelled(known, fold.log_time_ms))


def _extend(fold: CartFold, _: Record, asked: ExtendCart, known: Cart | None) -> None:
    if known is None or not _is_of(asked, known):
        fold.count(UNKNOWN)
    else:
        fold.change(asked.cart_id, known, extended(known, asked.correlation_id))


def _part_decided(fold: CartFold, _: Record, told: PartDecided, known: Cart | None) -> None:
    place = split_part_id(told.reservation_id)
    standing = standing_of(told.standing)
    if place is None:
        fold.count(UNKNOWN)
        return
    cart_id, number = place
    if known is None or not _is_of(told, known) or not _has(known, number, told.section):
        fold.count(UNKNOWN)
        if standing.status in {Status.HELD, Status.PAYING}:
            _give_back(fold, told, standing)
        return
    fold.change(cart_id, known, heard(known, number, standing, told.answers, fold.log_time_ms))
    is_killed = standing.status == Status.UNSPECIFIED and standing.reason == Reason.INTERNAL
    if is_killed and told.answers == known.turn_id and known.parts[number].asked > Ask.RELEASE:
        fold.cannot_tell(cart_id, known)


def _pay(fold: CartFold, _: Record, asked: PayCart, known: Cart | None) -> None:
    """Begin to pay for a cart, once: each part is asked to wait for the payment."""
    if known is None or not _is_of(asked, known):
        fold.count(UNKNOWN)
        return
    if known.payment.wish == asked.correlation_id and known.payment.step:
        fold.count("REPEATED")
        return
    reason = refusal_to_pay(known, asked.amount, asked.currency)
    if reason is not None:
        # The revision rises, by which the pod that asked sees that no payment has begun.
        fold.count(reason.name)
        fold.store(asked.cart_id, known._replace(applied_offset=fold.offset))
        return
    wish = CartPayment(
        wish=asked.correlation_id,
        amount=asked.amount,
        currency=asked.currency,
        gateway=asked.gateway,
        method=asked.method,
        parameters=asked.parameters,
    )
    fold.change(asked.cart_id, known, paid(known, wish, fold.log_time_ms))


def _settle(fold: CartFold, _: Record, said: SettleCart, known: Cart | None) -> None:
    """Have all parts do what payments tell, and answer payments when that is done."""
    cart_id = cart_of_payment(said.reservation_id)
    if cart_id is None:
        fold.count(UNKNOWN)
        return
    is_ours = known is not None and bool(known.payment.step)
    if known is None or not is_ours or fold.payment_request(cart_id, known) != said.request:
        # The gateway may have the money all the same; this answer has it given back.
        fold.count(UNKNOWN)
        unknown = Answer(SaleDecision.REFUSED, Reason.UNKNOWN_RESERVATION)
        fold.tell_payments(cart_id, said.request, said.asked, unknown, said.epoch)
        return
    if not said.asked:
        # A word that this code does not know.
        return
    after = settled(known, Say(said.asked), said.cause, fold.log_time_ms)
    fold.change(cart_id, known, after)
    if after.payment.turn == known.payment.turn or after.payment.saying != known.payment.saying:
        fold.answer(cart_id, after)


def _give_back(fold: CartFold, told: PartDecided, standing: Standing) -> None:
    """Release a hold that has the id of a part, and no cart has that part."""
    fold.count(ORPHAN)
    key, commands = b"%d-%s" % (told.event_id, told.section), fold.codecs.commands
    if standing.status == Status.HELD:
        value = commands.release(told.request)
    else:
        value = commands.fail_payment(told.request, standing.epoch, PaymentFailure.DECLINED)
    fold.effects.to(fold.asked.sections).append((key, value))


def _is_of(said: Said, cart: Cart) -> bool:
    return (said.user_id, said.event_id) == (cart.user_id, cart.event_id)


def _has(cart: Cart, number: int, section: bytes) -> bool:
    return number < len(cart.parts) and cart.parts[number].section == section


_Decide = Callable[[CartFold, Record, Any, Cart | None], None]

_KINDS: Final[Kinds[_Decide]] = by_full_name(
    CARTS,
    (OpenCart, _open),
    (ReleaseCart, _release),
    (ExtendCart, _extend),
    (PartDecided, _part_decided),
    (PayCart, _pay),
    (SettleCart, _settle),
)


def emit_again(fold: CartFold, records: Sequence[Record]) -> None:
    """Send again what the carts of records that are read again wait for."""
    _, decoded = read(fold, records)
    keys = list(dict.fromkeys(key_of(fields) for fields in decoded if len(fields) > 1))
    for key, stored in zip(keys, fold.state.get_many(keys), strict=True):
        if stored is not None:
            cart_id, cart = key.removeprefix(CART), cart_of(stored)
            fold.ask_again(cart_id, cart)
            fold.answer(cart_id, cart)
