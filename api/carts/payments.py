"""Paying for a cart over HTTP: begin it, see how it stands, ask for the money back.

As with reservations, a pod appends one record and answers 202; it waits neither for a gateway nor
for all workers. A cart is paid for once, whatever is repeated.
"""

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Response

from api.access.identity import Identity
from api.carts.bodies import CartPaymentBody, CartPaymentStart
from api.carts.standing import awaited_cart, cart_at_owner, own_cart, purchase_of_cart
from api.commands.payment_way import TAKEN
from api.guard import LOOKS, limited
from api.headers import Asked, ByBuyer, ByRefund, ChangedFrom, Key, taken
from api.pod import Pod
from api.web.answers import json_answer
from api.web.ids import ReservationIdInPath
from api.web.problems import Header as ProblemHeader
from api.web.problems import Problem
from state.domain.carts.life import refusal_to_pay
from state.domain.carts.payment import UNDER_WAY, Step
from state.domain.carts.statuses import CartStatus
from state.domain.carts.values import Cart
from state.domain.keys import cart_key, cart_payment_id, split_issued_id
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.reasons import Reason
from state.records.payments import PurchaseRecord

router = APIRouter(tags=["carts"])

LOOKS_EVERY_S: Final = 0.5
"""How often cart and purchase are read while a caller waits: neither has outcomes."""

_ADVICE: Final = {
    Reason.NOT_HELD: "Read the cart again: there is nothing that could be paid for.",
    Reason.NOT_PRICED: "Some of the seats have no price.",
    Reason.PAYMENT_IN_PROGRESS: "A cart is paid for once.",
}
# Also while its seats are taken back: whoever asks again has asked before.
_SOLD: Final = frozenset({Step.SOLD, Step.TAKING_BACK, Step.TAKEN_BACK})
_OPEN_PURCHASE: Final = frozenset({PurchaseStatus.PENDING, PurchaseStatus.PROCESSING})


@router.post("/v1/carts/{cart_id}/payments", dependencies=limited("create"), **TAKEN)
async def pay_cart(
    by: ByBuyer, cart_id: ReservationIdInPath, body: CartPaymentStart, key: Key
) -> Response:
    """Pay for all that a cart holds, as one. A repeat with the same key gets the same answer."""
    pod, who, wait = by.pod, by.who, by.wait
    cart = own_cart(await cart_at_owner(pod, cart_id), who)
    gateway, parameters = body.checked(pod.settings.gateways, pod.payments.gateways)
    # The cart recognizes a repeat by its correlation id, which is made of the key.
    stem = by.stem(key)
    if not cart.payment.step and body.amount:
        await by.check_gateway(stem, cart_id, gateway)
    use = await by.use(stem, {"pay": cart_id, **body.model_dump()})

    def refusal(one: Cart) -> Reason | None:
        is_begun = one.payment.wish == stem.encode()
        return None if is_begun else refusal_to_pay(one, body.amount, body.currency.encode())

    def is_met(one: Cart) -> bool:
        return one.payment.wish == stem.encode() or refusal(one) is not None

    if (reason := refusal(cart)) is not None:
        await by.nothing_decided(stem, use)
        _refuse(cart_id, reason)
    value = pod.carts.encoders.pay_cart(
        cart_id,
        who.user_id,
        stem,
        cart.event_id,
        (body.amount, body.currency),
        (gateway, body.method, parameters),
    )
    owner = cart_key(cart.event_id, who.user_id.encode())
    await pod.carts.tell(owner, pod.desk.partition_of(owner), value, by.correlation)
    if wait.headers:
        # Only who demands to wait for it is told that the cart has changed meanwhile.
        begun = await by.until(lambda: awaited_cart(pod, cart_id, is_met, wait.seconds))
        _refuse(cart_id, None if begun is None else refusal(begun))
    return _pending(cart_id, wait.headers)


@router.get("/v1/carts/{cart_id}/payment", response_model=CartPaymentBody, dependencies=LOOKS)
async def show_cart_payment(
    by: ByBuyer, cart_id: ReservationIdInPath, changed_from: ChangedFrom = None
) -> Response:
    """Show how the payment of a cart stands; wait until that has changed."""
    return await _shown(by, cart_id, changed_from)


@router.get("/v1/payments/{cart_id}_c", response_model=CartPaymentBody, dependencies=LOOKS)
async def show_payment_of_cart(
    by: ByBuyer, cart_id: ReservationIdInPath, changed_from: ChangedFrom = None
) -> Response:
    """Show how the payment of a cart stands, by the payment's id."""
    return await _shown(by, cart_id, changed_from)


@router.post("/v1/carts/{cart_id}:refund", dependencies=limited("cancel"), **TAKEN)
async def refund_cart(by: ByRefund, cart_id: ReservationIdInPath) -> Response:
    """Give all seats of a cart back and get the money back: all of it."""
    pod = by.pod
    cart = own_cart(await cart_at_owner(pod, cart_id), by.who)
    if cart.payment.step not in _SOLD or await purchase_of_cart(pod, cart_id, cart) is None:
        raise Problem.of(
            Reason.NOT_PAID, "No payment of this cart has sold its seats.", cart_id=cart_id
        )
    payment_id, parts = _payment_id(cart_id), split_issued_id(cart_id)
    assert parts is not None
    section = cart.parts[0].section.decode()
    await by.tell(payment_id, parts.partition, section, cart.event_id)
    return _pending(cart_id, ())


async def _shown(by: Asked, cart_id: str, changed_from: str | None) -> Response:
    """Return how the payment of a cart stands, once it is another than `changed_from`."""
    pod, who = by.pod, by.who
    cart = own_cart(await cart_at_owner(pod, cart_id), who)
    shown = _body(cart_id, cart, await purchase_of_cart(pod, cart_id, cart))
    revision, wait_s = shown["revision"], by.wait.seconds
    if changed_from == revision and wait_s > 0:
        shown = await by.until(lambda: _changed(pod, cart_id, who, revision, wait_s))
    return json_answer(shown, 200, by.wait.headers)


def _refuse(cart_id: str, reason: Reason | None) -> None:
    """Raise Problem for a reason not to begin a payment."""
    if reason is not None:
        advice = _ADVICE.get(reason, "Read the cart again, and name its amount and currency.")
        raise Problem.of(reason, advice, cart_id=cart_id)


def _payment_id(cart_id: str) -> str:
    return cart_payment_id(cart_id.encode()).decode()


def _step(cart: Cart) -> tuple[int, int]:
    return cart.status, cart.payment.turn


def _status(cart: Cart, purchase: PurchaseRecord | None) -> str:
    if purchase is not None:
        return PurchaseStatus(purchase.status).name
    step = Step(cart.payment.step)
    if step == Step.SOLD:
        return "DONE"
    if step in UNDER_WAY:
        return "PENDING"
    return "FAILED" if step else "NOT_STARTED"


def _body(cart_id: str, cart: Cart, purchase: PurchaseRecord | None) -> dict[str, Any]:
    """Return the members of a CartPaymentBody."""
    is_open = purchase is not None and purchase.status in _OPEN_PURCHASE
    told = "" if purchase is None else f"{purchase.status}.{purchase.changed_at_ms}"
    status, turn = _step(cart)
    return {
        "payment_id": _payment_id(cart_id),
        "status": _status(cart, purchase),
        "cart_status": CartStatus(status).name,
        "amount": cart.payment.amount,
        "currency": cart.payment.currency.decode(),
        "gateway": None if purchase is None else purchase.gateway.decode(),
        "booking_number": (purchase.booking_number.decode() or None) if purchase else None,
        "deadline_ms": purchase.deadline_ms if purchase is not None and is_open else None,
        "revision": f"{status}.{turn}/{told}",
    }


async def _changed(
    pod: Pod, cart_id: str, who: Identity, revision: str, wait_s: float
) -> dict[str, Any]:
    """Return how a payment stands once it has another revision, or `wait_s` has passed."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    while True:
        cart = own_cart(await cart_at_owner(pod, cart_id), who)
        shown = _body(cart_id, cart, await purchase_of_cart(pod, cart_id, cart))
        left_s = until_s - loop.time()
        if shown["revision"] != revision or left_s <= 0 or pod.draining.is_set():
            return shown
        await asyncio.sleep(min(left_s, LOOKS_EVERY_S))


def _pending(cart_id: str, headers: tuple[ProblemHeader, ...]) -> Response:
    body = {"payment_id": _payment_id(cart_id), "status": "PENDING"}
    return taken(f"/v1/carts/{cart_id}/payment", body, headers)
