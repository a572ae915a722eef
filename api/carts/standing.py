"""How a cart stands, by the worker that keeps it."""

import asyncio
from collections.abc import Callable
from typing import Final

from api.access.identity import Identity
from api.pod import Pod
from api.standing import UNANSWERED
from api.web.problems import Problem, told_as
from schemas.topics import CART_COMMANDS, PAYMENT_COMMANDS
from state.domain.carts.values import Cart
from state.domain.keys import CART, PURCHASE, cart_payment_id, split_issued_id
from state.domain.reasons import ApiReason
from state.records.carts import cart_of
from state.records.payments import PurchaseRecord, purchase_of

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5

IsMet = Callable[[Cart], bool]


async def cart_at_owner(pod: Pod, cart_id: str) -> Cart | None:
    """Return a cart by its owner's word, None for none; raises Problem (503) without one."""
    parts = split_issued_id(cart_id)
    if parts is None:
        return None
    with told_as(UNANSWERED):
        if parts.partition >= pod.commands.partitions:
            return None
        stored = await pod.owners.get(CART_COMMANDS.name, parts.partition, CART + cart_id.encode())
    return None if stored is None else cart_of(stored)


async def awaited_cart(pod: Pod, cart_id: str, is_met: IsMet, wait_s: float) -> Cart | None:
    """Return a cart as soon as it is as demanded, or as it stands when time is over.

    None for none. An owner that does not answer meanwhile is asked again; raises Problem (503)
    where it does not answer at the end either.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    pause_s = _FIRST_PAUSE_S
    while True:
        left_s = until_s - loop.time()
        is_last = left_s <= 0 or pod.draining.is_set()
        try:
            cart = await cart_at_owner(pod, cart_id)
        except Problem:
            if is_last:
                raise
            cart = None
        if is_last or (cart is not None and is_met(cart)):
            return cart
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def own_cart(cart: Cart | None, who: Identity) -> Cart:
    """Return a cart of this user; raises Problem (404) for none and for others'."""
    if cart is None or cart.user_id.decode() != who.user_id:
        raise Problem.of(
            ApiReason.NOT_FOUND, "There is none, or none of yours; it may be there later."
        )
    return cart


async def purchase_of_cart(pod: Pod, cart_id: str, cart: Cart) -> PurchaseRecord | None:
    """Return the purchase of a cart by its owner's word; None where none was begun yet.

    Raises Problem (503) where the owner cannot be asked, or is behind the cart.
    """
    parts = split_issued_id(cart_id)
    assert parts is not None
    if not cart.payment.amount:
        return None
    key = PURCHASE + cart_payment_id(cart_id.encode())
    with told_as(UNANSWERED):
        stored = await pod.owners.get(PAYMENT_COMMANDS.name, parts.partition, key)
    if stored is None and cart.payment.saying:
        # Payments have told the cart of it, so its owner will know it.
        raise Problem.of(ApiReason.NOT_READY, "The payment's owner is behind; ask again shortly.")
    return None if stored is None else purchase_of(stored)
