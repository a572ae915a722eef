"""Purchases over HTTP, over what the role that issues has really stored."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from support.issuing.orders import Issuing
from support.issuing.purchases_asked import EVENT, asking, pem, word
from support.pods.reservations_asked import ANN, BOB, problem

from api.pod import Pod
from state.owners.questions import OwnerNotReady, OwnerUnreachable

KEY = pem()


async def found(client: httpx.AsyncClient, event: int = EVENT) -> Any:
    answer = await client.get(f"/v1/purchases?event_id={event}", headers=ANN)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_buyer_sees_a_purchase_and_its_tickets() -> None:
    async def test(issuing: Issuing, pod: Pod, client: httpx.AsyncClient) -> None:
        issuing.hears(*word("r1", seats=((2, 5, 2),)))
        bought = await found(client)
        assert (bought["event_id"], bought["status"], bought["revision"]) == (EVENT, "ACTIVE", 3)
        seats = [(one["section"], one["row"], one["seat"]) for one in bought["tickets"]]
        assert seats == [("A-1", 2, 5), ("A-1", 2, 6)]
        path = f"/v1/purchases/{bought['purchase_id']}"
        shown = await client.get(path, headers=ANN)
        assert (shown.status_code, shown.json()) == (200, bought)
        assert shown.headers["cache-control"] == "no-store"
        [first, _] = bought["tickets"]
        ticket = await client.get(f"{path}/tickets/{first['ticket_id']}", headers=ANN)
        assert ticket.json() == first

    asking(test, ticket_key=KEY)


def test_a_door_checks_a_code_with_the_published_keys_alone() -> None:
    async def test(issuing: Issuing, pod: Pod, client: httpx.AsyncClient) -> None:
        issuing.hears(*word("r1", seats=((2, 5, 1),)))
        [ticket] = (await found(client))["tickets"]
        # Nobody needs a token for the keys.
        published = (await client.get("/.well-known/jwks.json")).json()
        [key] = published["keys"]
        claims = jwt.decode(ticket["code"], jwt.PyJWK(key).key, algorithms=["EdDSA"])
        assert claims == {
            "sub": ticket["ticket_id"],
            "iat": 3,
            "event": EVENT,
            "section": "A-1",
            "row": 2,
            "seat": 5,
            "booking": "BK-1-00000000",
        }
        assert "ann" not in json.dumps(claims)

    asking(test, ticket_key=KEY)


def test_a_refunded_order_has_no_tickets_any_more() -> None:
    async def test(issuing: Issuing, pod: Pod, client: httpx.AsyncClient) -> None:
        issuing.hears(*word("r1"))
        before = await found(client)
        issuing.hears(*word("r1", 4, is_valid=False))
        after = await found(client)
        assert (after["status"], after["tickets"]) == ("ENDED", [])
        gone = before["tickets"][0]["ticket_id"]
        path = f"/v1/purchases/{before['purchase_id']}/tickets/{gone}"
        problem(await client.get(path, headers=ANN), 404, "NOT_FOUND")

    asking(test, ticket_key=KEY)


def test_nobody_sees_what_somebody_else_has_bought() -> None:
    async def test(issuing: Issuing, pod: Pod, client: httpx.AsyncClient) -> None:
        issuing.hears(*word("r1"))
        bought = await found(client)
        path = f"/v1/purchases/{bought['purchase_id']}"
        ticket = f"{path}/tickets/{bought['tickets'][0]['ticket_id']}"
        for asked in (path, ticket, f"{ticket}/qr", f"/v1/purchases?event_id={EVENT}"):
            problem(await client.get(asked, headers=BOB), 404, "NOT_FOUND")
            problem(await client.get(asked), 401, "UNAUTHENTICATED")

    asking(test, ticket_key=KEY)


def test_what_is_not_issued_and_what_no_partition_has_is_not_found() -> None:
    async def test(issuing: Issuing, pod: Pod, client: httpx.AsyncClient) -> None:
        for path in ("?event_id=9", f"/{'a' * 26}-0", f"/{'a' * 26}-999"):
            problem(await client.get(f"/v1/purchases{path}", headers=ANN), 404, "NOT_FOUND")
        problem(await client.get("/v1/purchases/nonsense", headers=ANN), 400, "MALFORMED")
        problem(await client.get("/v1/purchases", headers=ANN), 400, "MALFORMED")

    asking(test)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OwnerNotReady, "NOT_READY"), (OwnerUnreachable, "OWNER_UNREACHABLE")],
)
def test_an_owner_that_does_not_answer_is_no_absence(
    error: Callable[[str], Exception], reason: str
) -> None:
    async def test(issuing: Issuing, pod: Pod, client: httpx.AsyncClient) -> None:
        issuing.hears(*word("r1"))
        stores: Any = pod.issued
        stores.failure = error("away")
        answer = await client.get(f"/v1/purchases?event_id={EVENT}", headers=ANN)
        problem(answer, 503, reason)

    asking(test)


def test_a_pod_without_a_key_shows_tickets_without_codes() -> None:
    async def test(issuing: Issuing, pod: Pod, client: httpx.AsyncClient) -> None:
        issuing.hears(*word("r1", seats=((2, 5, 1),)))
        bought = await found(client)
        [ticket] = bought["tickets"]
        assert ticket["code"] is None
        path = f"/v1/purchases/{bought['purchase_id']}/tickets/{ticket['ticket_id']}/qr"
        problem(await client.get(path, headers=ANN), 404, "NOT_FOUND")
        assert (await client.get("/.well-known/jwks.json")).json() == {"keys": []}

    asking(test)


def test_a_pod_publishes_the_next_key_and_signs_with_the_present_one() -> None:
    async def test(issuing: Issuing, pod: Pod, client: httpx.AsyncClient) -> None:
        issuing.hears(*word("r1", seats=((2, 5, 1),)))
        [ticket] = (await found(client))["tickets"]
        keys = (await client.get("/.well-known/jwks.json")).json()["keys"]
        assert len(keys) == 2
        assert jwt.get_unverified_header(ticket["code"])["kid"] == keys[0]["kid"]

    asking(test, ticket_key=pem(1), next_ticket_key=pem(2))
