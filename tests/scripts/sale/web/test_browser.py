"""Whatever a buyer asks is written down, and asked again until it is certain."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.gateways.serving import served

from scripts.auditing.http_history import Act, History, Kind
from scripts.sale.web import browser as module
from scripts.sale.web.browser import Browser, Shop, Wish, is_for_later
from state.plans.reading import parse_plan

PLAN = parse_plan(b'{"event": "e", "sections": [{"section": "A", "rows": 2, "seats": 5}]}')


class Pod:
    """Answers with the next of these statuses, and the last one for ever."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.asked: list[web.Request] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.json_response({"status": status}, status=status)


def asking(pod: Pod, ask: Callable[[Browser], Awaitable[Any]]) -> tuple[Any, History]:
    """Let one user ask a pod; return what came of it, and what was written down."""
    history = History(1, 5_000)

    async def whole() -> Any:
        pages = web.Application()
        pages.router.add_route("*", "/{path:.*}", pod.handle)
        async with served(pages) as address, aiohttp.ClientSession(address) as session:
            shop = Shop(PLAN, history)
            return await ask(Browser(session, "ann", "t-0", random.Random(3), shop))

    return asyncio.run(whole()), history


def test_a_request_carries_who_asks_and_its_key_and_is_written_down() -> None:
    pod = Pod(200)

    async def ask(buyer: Browser) -> Kind:
        key = buyer.new_key()
        kind, _ = await buyer.ask(Act.PAY, "POST", "/v1/x", json={}, key=key, prefer="wait=2")
        return kind

    kind, history = asking(pod, ask)
    assert kind is Kind.OK
    [request], [exchange] = pod.asked, history.exchanges
    assert request.headers["Authorization"] == "Bearer t-0"
    assert request.headers["Idempotency-Key"] == exchange.key == "ann-1"
    assert request.headers["Prefer"] == "wait=2"
    assert request.headers["X-Correlation-Id"] == exchange.correlation_id
    assert (exchange.user, exchange.event_id, exchange.status) == ("ann", 1, 200)


def test_who_insists_asks_until_the_answer_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    pod = Pod(503, 429, 200)

    async def insist(buyer: Browser) -> Any:
        return await buyer.insist(Act.PAY, "POST", "/v1/x", key=buyer.new_key())

    answer, history = asking(pod, insist)
    assert answer == {"status": 200}
    assert {one.key for one in history.exchanges} == {"ann-1"}
    assert len(pod.asked) == 3


def test_a_refusal_of_the_request_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    pod = Pod(409)

    async def insist(buyer: Browser) -> Any:
        return await buyer.insist(Act.PAY, "POST", "/v1/x")

    assert asking(pod, insist)[0] == {}
    assert len(pod.asked) == 1


def test_chosen_seats_are_asked_for_by_place_and_the_best_by_number() -> None:
    assert Wish(0, "A", 2, (), "k").body() == {"section": "A", "quantity": 2}
    assert Wish(0, "A", 1, ((1, 4),), "k").body() == {
        "section": "A",
        "seats": [{"row": 1, "seat": 4}],
    }


@pytest.mark.parametrize(("status", "later"), [(429, True), (503, True), (409, False)])
def test_only_a_refusal_of_the_pod_itself_is_worth_another_try(status: int, later: bool) -> None:
    assert is_for_later({"status": status}) is later
