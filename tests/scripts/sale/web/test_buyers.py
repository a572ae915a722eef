"""A buyer with a browser writes down whatever was asked, and pays for what he holds."""

import asyncio
import random
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.gateways.serving import served

from scripts.auditing.http_history import NO_ANSWER, Act, History
from scripts.processes.keys import DevelopmentKeys
from scripts.sale.web import buyers as module
from scripts.sale.web.browser import PATIENCE_S, Shop
from scripts.sale.web.buyers import WebBuyer
from state.plans.reading import parse_plan

PLAN = parse_plan(b'{"event": "e", "sections": [{"section": "A", "rows": 2, "seats": 5}]}')
COUNTS = {"section": "A", "version": 3, "free": 9, "held": 1, "largest_block": 5, "as_of_ms": 1}
HELD = {
    "reservation_id": "t-0",
    "status": "HELD",
    "epoch": 1,
    "version": 4,
    "outcome_id": "section-commands:0:9:0",
    "seats": [],
}
SOLD = HELD | {"status": "SOLD", "outcome_id": "section-commands:0:10:0"}


class Pod:
    """Answers what a test says: a status and a body for looks, reservations and shows."""

    def __init__(self, **answers: tuple[int, dict[str, Any]]) -> None:
        usual: dict[str, tuple[int, dict[str, Any]]] = {
            "look": (200, {"sections": [COUNTS], "stale": False, "staleness_ms": 0}),
            "reserve": (201, HELD),
            "show": (200, SOLD),
            "payment": (200, {"payment_id": "t-0", "status": "DONE", "revision": "1"}),
            "pay": (202, {"payment_id": "t-0", "status": "PENDING"}),
            "refund": (202, {"payment_id": "t-0", "status": "PENDING"}),
        }
        self.answers = usual | answers
        self.asked: list[web.Request] = []
        self.told: list[tuple[str, dict[str, Any]]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        kind = "reserve" if request.method == "POST" else "look"
        if request.path.startswith("/v1/reservations/"):
            kind = "show"
        if request.path.startswith("/v1/payments/"):
            kind = "payment"
        if request.path.endswith(("/payments", ":refund")):
            kind = "refund" if request.path.endswith(":refund") else "pay"
            self.told.append((kind, await request.json() if request.can_read_body else {}))
        status, body = self.answers[kind]
        if kind in {"show", "payment"} and self.told and self.told[-1][0] == "refund":
            body = body | {"status": "REFUNDED"}
        return web.json_response(body, status=status)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody's connection break, and everybody watch and return whatever there is."""
    monkeypatch.setattr(module, "RETURNED", 1.0)
    monkeypatch.setattr(module, "WATCHED", 1.0)
    monkeypatch.setattr(module, "CUT_OFF_S", PATIENCE_S)


def visit(
    pod: Pod, folder: Path, *, url: str = "", may_return: bool = False
) -> tuple[History, list[str]]:
    """Let one buyer visit the pod when few seats are left; return what was written, who paid."""
    history = History(1, 5_000)

    async def whole() -> None:
        pages = web.Application()
        pages.router.add_route("*", "/{path:.*}", pod.handle)
        async with served(pages) as pod_address:
            address = url or pod_address
            keys = DevelopmentKeys(folder)
            shop = Shop(PLAN, history)
            shop.is_last_call, shop.may_return = True, may_return
            async with aiohttp.ClientSession(address) as session:
                buyer = WebBuyer(session, "web1", keys.token("web1"), random.Random(3), shop)
                await buyer.visit()

    asyncio.run(whole())
    return history, [one.reservation_id for one in history.exchanges if one.act is Act.PAY]


def test_who_holds_seats_pays_and_waits_until_they_are_sold(tmp_path: Path) -> None:
    pod = Pod()
    history, paid = visit(pod, tmp_path)
    assert set(paid) == {"t-0"}
    assert pod.told[0] == ("pay", {"epoch": 1, "method": "card", "gateway": "mock"})
    acts = [one.act for one in history.exchanges]
    assert acts[:2] == [Act.LOOK, Act.RESERVE]
    assert acts[-2:] == [Act.PAYMENT, Act.SHOW]
    assert len(acts) == len(pod.asked)


def test_who_may_wants_the_money_of_some_sales_back_and_waits_for_it(tmp_path: Path) -> None:
    pod = Pod()
    history, _ = visit(pod, tmp_path, may_return=True)
    assert pod.told[-1] == ("refund", {})
    acts = [one.act for one in history.exchanges]
    assert acts[acts.index(Act.REFUND) + 1 :] == [Act.PAYMENT, Act.SHOW]


def test_who_watches_a_payment_waits_for_news_of_it_until_it_has_ended(tmp_path: Path) -> None:
    class Slow(Pod):
        async def handle(self, request: web.Request) -> web.Response:
            is_news = "changed_from" in request.query
            status = "DONE" if is_news else "PENDING"
            self.answers["payment"] = (200, {"status": status, "revision": "r1"})
            return await super().handle(request)

    pod = Slow()
    history, _ = visit(pod, tmp_path)
    watched = [dict(one.query) for one in pod.asked if one.path.startswith("/v1/payments/")]
    assert watched == [{}, {"changed_from": "r1"}]
    assert [one.act for one in history.exchanges].count(Act.PAYMENT) == 2


def test_every_request_carries_user_key_and_a_correlation_of_its_own(tmp_path: Path) -> None:
    pod = Pod()
    history, _ = visit(pod, tmp_path)
    correlations = [request.headers["X-Correlation-Id"] for request in pod.asked]
    assert correlations == [one.correlation_id for one in history.exchanges]
    assert len(set(correlations)) == len(correlations)
    reserved = next(one for one in history.exchanges if one.act is Act.RESERVE)
    asked = next(request for request in pod.asked if request.method == "POST")
    assert asked.headers["Idempotency-Key"] == reserved.key != ""
    assert all(request.headers["Authorization"].startswith("Bearer ") for request in pod.asked)


def test_who_is_refused_pays_nothing(tmp_path: Path) -> None:
    history, paid = visit(Pod(reserve=(409, {"reason": "SOLD_OUT"})), tmp_path)
    assert paid == []
    assert [one.act for one in history.exchanges] == [Act.LOOK, Act.RESERVE]


def test_who_knows_of_no_section_asks_for_nothing(tmp_path: Path) -> None:
    history, paid = visit(Pod(look=(404, {"reason": "UNKNOWN_EVENT"})), tmp_path)
    assert ([one.status for one in history.exchanges], paid) == ([404], [])


def test_an_answer_that_never_came_is_written_down_as_none(tmp_path: Path) -> None:
    history, _ = visit(Pod(), tmp_path, url="http://127.0.0.1:1")
    assert [(one.status, one.body) for one in history.exchanges] == [(NO_ANSWER, b"")]
