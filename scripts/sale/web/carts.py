"""Buyers of the demo who want seats in several sections as one, over HTTP.

A cart is held, looked at, made to last longer, given back, forgotten or paid for as one by who
asked for it; and now and then its money goes back.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from scripts.auditing.http_history import Act, Kind
from scripts.sale.web.browser import (
    METHOD,
    RETRY_S,
    RETURNED,
    TRIES_MAX,
    Answer,
    Browser,
    Wish,
    is_for_later,
)
from streams.gateways.mock import NAME as GATEWAY

SHARE = 0.1
"""Of all wishes, once a cart is held."""

KEEPING = 0.2
"""Share of those who take what can be had."""

PARTY = 3
"""As many as would rather be parted than go without."""

SECTIONS_MAX = 3

ENDED = frozenset({"REJECTED", "RELEASED", "SOLD"})
SETTLED = ENDED | {"HELD"}


async def visit(buyer: Browser, wishes: Sequence[Wish]) -> None:
    """Hold all of it as one, and decide what becomes of it. wishes: one a section."""
    cart = await hold(buyer, wishes)
    if cart is None or cart["status"] != "HELD":
        return
    buyer.shop.wants_cart = False
    cart_id, draw = cart["cart_id"], buyer.draw
    place, fate = f"/v1/carts/{cart_id}", 1.0 if buyer.shop.is_last_call else draw.random()
    if fate < 0.05:
        return  # forgotten: its holds will lapse
    if fate < 0.3:
        await insist(buyer, "DELETE", place, cart_id)
        await follow(buyer, place, cart, ENDED)
        return
    if fate < 0.45:
        await insist(buyer, "POST", f"{place}:extend", cart_id, key=buyer.new_key())
    await pay(buyer, place, cart)
    ended = await follow(buyer, place, cart, ENDED)
    if ended.get("status") == "SOLD" and buyer.shop.may_return and draw.random() < RETURNED:
        await insist(buyer, "POST", f"{place}:refund", cart_id, key=buyer.new_key())
        await follow(buyer, place, ended, frozenset({"REFUNDED"}))


async def pay(buyer: Browser, place: str, cart: Answer) -> None:
    """Begin to pay all that is held, as it was seen; now and then twice with the same key."""
    sum_seen = {"amount": cart["amount"], "currency": cart["currency"]}
    json, key = {**sum_seen, "method": METHOD, "gateway": GATEWAY}, buyer.new_key()
    for _ in range(1 + (buyer.draw.random() < 0.1)):
        await insist(buyer, "POST", f"{place}/payments", cart["cart_id"], key=key, json=json)


async def hold(buyer: Browser, wishes: Sequence[Wish]) -> Answer | None:
    """Return the cart as it stands when that is known; None for a refusal."""
    path, key = f"/v1/events/{buyer.shop.event_id}/carts", buyer.new_key()
    keeps = buyer.draw.random() < KEEPING
    json = {
        "items": [item_of(wish) for wish in wishes],
        "on_failure": "keep" if keeps else "release",
    }
    for _ in range(TRIES_MAX):
        kind, answer = await buyer.ask(Act.CART, "POST", path, json=json, key=key)
        if kind is Kind.OK:
            if buyer.draw.random() < 0.05:
                await buyer.ask(Act.CART, "POST", path, json=json, key=key)
            return answer
        if kind is Kind.REFUSED and not is_for_later(answer):
            return None
        if kind is Kind.PENDING and "cart_id" in answer:
            answer = await follow(buyer, f"/v1/carts/{answer['cart_id']}", answer, SETTLED)
            if answer.get("status") in SETTLED:
                return answer
        await asyncio.sleep(RETRY_S)
    return None


def item_of(wish: Wish) -> Answer:
    """Return an item of a cart: a party would rather be parted than go without."""
    return wish.body() | ({} if wish.seats or wish.quantity < PARTY else {"split": True})


async def follow(buyer: Browser, place: str, answer: Answer, ends: frozenset[str]) -> Answer:
    """Wait until a cart has come to one of its ends; return how it stands."""
    for _ in range(TRIES_MAX):
        if answer.get("status") in ends:
            break
        revision = answer.get("revision", "")
        _, answer = await buyer.ask(
            Act.CART,
            "GET",
            place,
            query={"changed_from": revision} if revision else {},
            prefer="wait=2",
            reservation_id=place.rpartition("/")[2],
            waits=True,
        )
        if not answer or is_for_later(answer):
            await asyncio.sleep(RETRY_S)
    return answer


async def insist(buyer: Browser, method: str, path: str, cart_id: str, **asked: Any) -> None:
    """Insist on something of a cart; asked: its key and body, as `Browser.ask` takes them."""
    await buyer.insist(Act.CART, method, path, reservation_id=cart_id, **asked)
