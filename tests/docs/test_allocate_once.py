"""The example of a worker with inbox, retries and a call: in memory, and its call over HTTP."""

import asyncio
import re
from typing import Any

import pytest
from aiohttp import ClientResponseError, web
from aiohttp.test_utils import TestServer
from support.pages.document_pages import DOCS

from docs.examples.allocate_once import ask, route
from infra.paths import ROOT
from streams.driver import TopologyDriver
from streams.intents import Answer, Intent, Result
from streams.settings import Settings

SOURCE, TO = "purchase-created", "seats-allocated"
EXAMPLE = ROOT / "docs" / "examples" / "allocate_once.py"
SAID = Answer(result=Result.ANSWERED, payload=b"A1,A2")
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
IDS = (("event-id", b"e1"), ("correlation-id", b"c1"), ("traceparent", TRACE))


def driving() -> TopologyDriver:
    return TopologyDriver([route(Settings.from_env({}))])


def test_the_page_shows_the_example() -> None:
    page = (DOCS / "write-your-own-topology.md").read_text(encoding="utf-8")
    shown = re.search(
        r'```python title="docs/examples/allocate_once.py"\n(.*?)```', page, re.DOTALL
    )
    assert shown is not None
    assert shown[1] == EXAMPLE.read_text(encoding="utf-8")


def test_a_purchase_gets_seats_once_and_its_ids_go_on() -> None:
    driver = driving()
    for _ in range(2):
        driver.pipe(SOURCE, b"ann", b"2 seats", headers=IDS)
    [pending] = driver.intents(SOURCE)
    assert pending.intent.idempotency_key == "allocate_purchases:e1"
    driver.answer(pending, SAID)
    driver.pipe(SOURCE, b"ann", b"2 seats", headers=IDS)
    [told] = driver.read(TO)
    assert (told.key, told.value) == (b"ann", b"A1,A2")
    headers = dict(told.headers)
    assert (headers["correlation-id"], headers["traceparent"]) == (b"c1", TRACE)
    assert driver.intents(SOURCE) == []


def test_a_service_that_is_down_costs_one_dead_letter_and_other_buyers_nothing() -> None:
    driver = driving()
    driver.pipe(SOURCE, b"ann", b"2 seats", headers=IDS)
    driver.pipe(SOURCE, b"bob", b"1 seat")
    for pause_s in (2, 4, 8, 16, 0):
        due = {one.intent.payload: one for one in driver.intents(SOURCE, due=True)}
        if b"1 seat" in due:
            driver.answer(due[b"1 seat"], SAID)
        driver.answer(due[b"2 seats"], Answer(result=Result.TIMED_OUT))
        driver.advance(1_000 * pause_s)
    assert [record.key for record in driver.read(TO)] == [b"bob"]
    [letter] = driver.dead_letters
    assert (letter.record.value, letter.attempts) == (b"2 seats", 5)


def intent() -> Intent:
    return Intent(
        id="i",
        destination="allocation",
        idempotency_key="allocate_purchases:e1",
        payload=b"2 seats",
        due_ms=0,
        opened_ms=0,
    )


@pytest.mark.parametrize("status", [200, 503])
def test_the_service_is_asked_with_the_key_and_its_refusal_is_a_failure(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.headers["Idempotency-Key"], await request.read()))
        return web.Response(body=b"A1", status=status)

    async def run() -> bytes:
        service = web.Application()
        service.router.add_post("/", answer)
        async with TestServer(service) as server:
            monkeypatch.setenv("ADMIN_SERVICE_URL", str(server.make_url("/")))
            return await ask(intent())

    if status == 200:
        assert asyncio.run(run()) == b"A1"
    else:
        with pytest.raises(ClientResponseError):
            asyncio.run(run())
    assert asked == [("allocate_purchases:e1", b"2 seats")]
