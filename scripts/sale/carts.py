"""Buyers of the demo who want seats in several sections as one, over HTTP.

A cart is held, looked at, made to last longer, given back or forgotten by who asked for it. Money
for a cart goes to a shop, which confirms each of its holds by itself, as shops do that are not
this one: `ShopSale` says of what.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from scripts.auditing.http_history import Act, Kind

if TYPE_CHECKING:
    from scripts.sale.web_buyers import WebBuyer, Wish

Answer = dict[str, Any]

SHARE = 0.1
"""Of all wishes."""

KEEPING = 0.2
"""Share of those who take what can be had."""

SECTIONS_MAX = 3
TRIES_MAX = 60
RETRY_S = 0.25
FIRST_EPOCH = 1
ENDED = frozenset({"REJECTED", "RELEASED", "SOLD"})
SETTLED = ENDED | {"HELD"}


class ShopSale(NamedTuple):
    """One hold of a cart that somebody has paid a shop for.

    place: index of its section in the plan.
    """

    reservation_id: str
    user: str
    place: int
    epoch: int


async def visit(buyer: "WebBuyer", wishes: Sequence["Wish"]) -> None:
    """Hold all of it as one, and decide what becomes of it. wishes: one a section."""
    cart = await hold(buyer, wishes)
    if cart is None or cart["status"] != "HELD":
        return
    place, draw = f"/v1/carts/{cart['cart_id']}", buyer.draw
    fate = draw.random()
    if fate < 0.05:
        return  # forgotten: its holds will lapse
    if fate < 0.3:
        await insist(buyer, "DELETE", place, cart["cart_id"])
    else:
        if fate < 0.45:
            await insist(buyer, "POST", f"{place}:extend", cart["cart_id"], buyer.new_key())
        for number, (wish, part) in enumerate(zip(wishes, cart["parts"], strict=True)):
            if part["status"] == "HELD":
                part_id = f"{cart['cart_id']}_{number}"
                sale = ShopSale(part_id, buyer.user, wish.index, FIRST_EPOCH)
                buyer.shop.shop_sales.append(sale)
    await follow(buyer, place, cart, ENDED)


async def hold(buyer: "WebBuyer", wishes: Sequence["Wish"]) -> Answer | None:
    """Return the cart as it stands when that is known; None for a refusal."""
    path, key = f"/v1/events/{buyer.shop.event_id}/carts", buyer.new_key()
    keeps = buyer.draw.random() < KEEPING
    json = {
        "items": [wish.body() for wish in wishes],
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


async def follow(buyer: "WebBuyer", place: str, answer: Answer, ends: frozenset[str]) -> Answer:
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


async def insist(buyer: "WebBuyer", method: str, path: str, cart_id: str, key: str = "") -> None:
    """Ask until the answer is certain."""
    for _ in range(TRIES_MAX):
        kind, answer = await buyer.ask(Act.CART, method, path, key=key, reservation_id=cart_id)
        if kind is Kind.OK or (kind is Kind.REFUSED and not is_for_later(answer)):
            return
        await asyncio.sleep(RETRY_S)


def is_for_later(answer: Mapping[str, Any]) -> bool:
    """Say whether a refusal speaks of the pod and not of the request."""
    return answer.get("status") in {429, 503}
