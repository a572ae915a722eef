"""The service over HTTP: made now, there already, or refused."""

import asyncio
from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer

from infra.allocation.books import Books
from infra.allocation.server import application

BODY = {"user_id": "ann", "event_id": 7, "purchase_id": "p-0"}
PATH = "/v1/allocations"


def test_statuses_say_what_was_done() -> None:
    async def run() -> None:
        with Books(Path(":memory:")) as books:
            async with asyncio.timeout(60), TestClient(TestServer(application(books))) as client:

                async def status(key: str, data: object) -> int:
                    headers = {"Idempotency-Key": key} if key else {}
                    async with client.post(PATH, json=data, headers=headers) as answer:
                        return answer.status

                assert await status("k1", BODY) == 201
                assert await status("k1", BODY) == 200
                assert await status("k2", BODY) == 200
                assert await status("k1", BODY | {"user_id": "bob"}) == 422
                assert await status("", BODY) == 400
                assert await status("k3", {"user_id": "ann"}) == 400
                for text in (b"", b"\xff", b"{", b"[" * 10_000):
                    headers = {"Idempotency-Key": "k4"}
                    async with client.post(PATH, data=text, headers=headers) as answer:
                        assert answer.status == 400
                async with client.get(PATH) as answer:
                    assert [one["user_id"] for one in await answer.json()] == ["ann"]

    asyncio.run(run())


def test_an_end_is_heard_as_often_as_it_is_told() -> None:
    async def run() -> None:
        with Books(Path(":memory:")) as books:
            async with asyncio.timeout(60), TestClient(TestServer(application(books))) as client:
                headers = {"Idempotency-Key": "k1"}
                async with client.post(PATH, json=BODY, headers=headers) as answer:
                    made = await answer.json()
                told = {"allocation_id": made["allocation_id"]}
                cases: list[tuple[object, int]] = [(told, 200), (told, 200)]
                by_purchase = {"purchase_id": BODY["purchase_id"]}
                cases += [(by_purchase, 200), ({"purchase_id": "x"}, 404)]
                cases += [({**told, **by_purchase}, 400), ({"purchase_id": 5}, 400)]
                cases += [({"allocation_id": "x"}, 404), ({"allocation_id": 5}, 400), ([], 400)]
                for body, status in (*cases, ({"allocation_id": "\ud800"}, 400), ({}, 400)):
                    async with client.post(f"{PATH}:end", json=body) as answer:
                        assert answer.status == status
                assert [one["status"] for one in books.all()] == ["ended"]

    asyncio.run(run())
