"""Seats in several sections are asked for, paid for and given back as one."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.gateways.serving import served

from scripts.auditing.http_history import Act, Exchange, History
from scripts.processes.keys import DevelopmentKeys
from scripts.sale.web import carts
from scripts.sale.web.browser import Shop, Wish
from scripts.sale.web.buyers import WebBuyer
from state.plans.reading import parse_plan

PLAN = parse_plan(
    b'{"event": "e", "sections": [{"section": "A", "rows": 2, "seats": 5},'
    b' {"section": "B", "rows": 2, "seats": 5}, {"section": "C", "rows": 2, "seats": 5}]}'
)
ID = f"{'a' * 26}-3"
COUNTS = [
    {"section": name, "version": 3, "free": 9, "held": 1, "largest_block": 5, "as_of_ms": 1}
    for name in "ABC"
]


def cart(status: str, *parts: str, revision: str = "1") -> dict[str, Any]:
    told = [{"status": one, "seats": []} for one in parts]
    price = {"amount": 9_000, "currency": "EUR"}
    return {"cart_id": ID, "status": status, "parts": told, "revision": revision, **price}


TAKEN = (202, {"payment_id": f"{ID}_c", "status": "PENDING"})


class Fated(random.Random):
    """Draws as random does, but for these first chances."""

    def __init__(self, *chances: float) -> None:
        super().__init__(3)
        self._chances = list(chances)

    def random(self) -> float:
        return self._chances.pop(0) if self._chances else super().random()

    def getrandbits(self, k: int) -> int:
        # Samples and whole numbers take no chance.
        return super().getrandbits(k)


class Pod:
    """Answers each request about carts with the next of these: a status and a body."""

    def __init__(self, *answers: tuple[int, dict[str, Any]]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []
        self.wanted: list[dict[str, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        if "availability" in request.path:
            look = {"sections": COUNTS, "stale": False, "staleness_ms": 0}
            return web.json_response(look)
        self.asked.append((request.method, request.path_qs))
        if request.path.endswith(("/carts", "/payments")):
            self.wanted.append(await request.json())
        status, body = self.answers.pop(0)
        return web.json_response(body, status=status)


def visit(
    pod: Pod,
    folder: Path,
    chances: Sequence[float],
    *,
    may_return: bool = False,
    of_a_cart: float = 0.0,
) -> list[Exchange]:
    """Let one buyer want a cart; return what was written down."""
    history = History(1, 5_000)

    async def whole() -> None:
        pages = web.Application()
        pages.router.add_route("*", "/{path:.*}", pod.handle)
        async with served(pages) as address:
            keys = DevelopmentKeys(folder)
            shop = Shop(PLAN, history)
            shop.may_return = may_return
            async with aiohttp.ClientSession(address) as session:
                # The first chance is that of a look at all sections, the second that of a cart.
                draw = Fated(0.0, of_a_cart, *chances)
                await WebBuyer(session, "web1", keys.token("web1"), draw, shop).visit()

    asyncio.run(whole())
    assert not pod.answers, "less was asked than was told"
    return [one for one in history.exchanges if one.act is Act.CART]


@pytest.fixture(autouse=True)
def two_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody want seats in two sections, and nobody wait for long."""
    monkeypatch.setattr(carts, "SECTIONS_MAX", 2)
    monkeypatch.setattr(carts, "RETRY_S", 0.0)


def of_wishes(*others: float) -> list[float]:
    """Return the chances of two wishes for the best seats, and what comes then."""
    return [0.5, 0.9, 0.5, 0.9, *others]


def test_a_buyer_pays_for_the_whole_as_he_sees_it(tmp_path: Path) -> None:
    pod = Pod(
        (201, cart("HELD", "HELD", "HELD")),
        TAKEN,
        (200, cart("PAYING", "PAYING", "PAYING", revision="2")),
        (200, cart("SOLD", "SOLD", "SOLD", revision="3")),
    )
    exchanges = visit(pod, tmp_path, of_wishes(0.9, 0.9, 0.9, 0.9))
    asked, paid = pod.wanted
    assert asked["on_failure"] == "release"
    assert (paid["amount"], paid["currency"], paid["gateway"]) == (9_000, "EUR", "mock")
    assert pod.asked[1:] == [
        ("POST", f"/v1/carts/{ID}/payments"),
        ("GET", f"/v1/carts/{ID}?changed_from=1"),
        ("GET", f"/v1/carts/{ID}?changed_from=2"),
    ]
    assert [one.waits for one in exchanges] == [False, False, True, True]


def test_a_payment_is_asked_for_until_it_is_taken_and_may_be_repeated(tmp_path: Path) -> None:
    away = (503, {"status": 503, "reason": "NOT_READY"})
    sold = (200, cart("SOLD", "SOLD", "SOLD"))
    pod = Pod((201, cart("HELD", "HELD", "HELD")), away, TAKEN, TAKEN, sold)
    exchanges = visit(pod, tmp_path, of_wishes(0.9, 0.9, 0.9, 0.05))
    keys = [one.key for one in exchanges[1:4]]
    assert len(set(keys)) == 1
    assert keys[0] != exchanges[0].key


def test_money_may_be_wanted_back_as_a_whole(tmp_path: Path) -> None:
    pod = Pod(
        (201, cart("HELD", "HELD", "HELD")),
        TAKEN,
        (200, cart("SOLD", "SOLD", "SOLD", revision="2")),
        TAKEN,
        (200, cart("REFUNDED", "REFUNDED", "REFUNDED", revision="3")),
    )
    visit(pod, tmp_path, of_wishes(0.9, 0.9, 0.9, 0.9, 0.1), may_return=True)
    assert pod.asked[-2:] == [
        ("POST", f"/v1/carts/{ID}:refund"),
        ("GET", f"/v1/carts/{ID}?changed_from=2"),
    ]


def test_what_is_pending_is_followed_until_it_is_known(tmp_path: Path) -> None:
    pod = Pod(
        (202, {"cart_id": ID, "status": "PENDING"}),
        (404, {"status": 404, "reason": "NOT_FOUND"}),
        (200, cart("ASKING", "HELD", "PENDING")),
        (200, cart("REJECTED", "RELEASED", "REJECTED", revision="2")),
    )
    visit(pod, tmp_path, of_wishes(0.9))
    assert pod.asked[-1] == ("GET", f"/v1/carts/{ID}?changed_from=1")


def test_with_keep_what_is_held_is_paid_for(tmp_path: Path) -> None:
    kept = (201, cart("HELD", "REJECTED", "HELD"))
    pod = Pod(kept, TAKEN, (200, cart("SOLD", "REJECTED", "SOLD")))
    visit(pod, tmp_path, of_wishes(0.1, 0.9, 0.9, 0.9))
    assert pod.wanted[0]["on_failure"] == "keep"


def test_a_cart_may_be_given_back_or_be_made_to_last_longer(tmp_path: Path) -> None:
    held, ended = (201, cart("HELD", "HELD", "HELD")), (200, cart("RELEASED", *["RELEASED"] * 2))
    pod = Pod(held, (503, {"status": 503, "reason": "NOT_READY"}), ended, ended)
    visit(pod, tmp_path, of_wishes(0.9, 0.9, 0.2))
    assert [method for method, _ in pod.asked] == ["POST", "DELETE", "DELETE", "GET"]
    longer, sold = (200, cart("HELD", "HELD", "HELD")), (200, cart("SOLD", "SOLD", "SOLD"))
    pod = Pod(held, longer, TAKEN, sold)
    exchanges = visit(pod, tmp_path, of_wishes(0.9, 0.9, 0.4, 0.9))
    assert pod.asked[1] == ("POST", f"/v1/carts/{ID}:extend")
    assert len({one.key for one in exchanges[:3]}) == 3


def test_a_party_may_be_parted_but_not_two_nor_who_chooses_seats() -> None:
    items = [
        carts.item_of(Wish(0, "A", count, seats, "k"))
        for count, seats in ((2, ()), (3, ()), (3, ((0, 1), (0, 2), (1, 0))))
    ]
    assert [item.get("split", False) for item in items] == [False, True, False]


@pytest.mark.parametrize("reason", ["SEAT_LOCKED", "SOLD_OUT"])
def test_who_is_refused_asks_no_more(tmp_path: Path, reason: str) -> None:
    pod = Pod((409, {"status": 409, "reason": reason}))
    assert len(visit(pod, tmp_path, of_wishes(0.9))) == 1


def test_until_one_is_held_everybody_wants_a_cart(tmp_path: Path) -> None:
    pod = Pod((409, {"status": 409, "reason": "SOLD_OUT"}))
    assert len(visit(pod, tmp_path, of_wishes(0.9), of_a_cart=0.99)) == 1
