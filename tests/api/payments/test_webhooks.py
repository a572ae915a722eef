"""Webhooks of the mock gateway, signed as it signs them."""

import hmac
import json
import time
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from support.pods.payments_asked import log_of
from support.pods.reservation_pods import NotAppended, Seats
from support.pods.reservations_asked import asking, problem
from support.seats.section_commands import told

from api.pod import Pod
from state.domain.keys import Order

SECRET = b"the mock gateway's webhook secret"
PATH = "/v1/webhooks/mock"
NO_HEX = f"t={int(time.time())},v1={'g' * 64}"
ORDER = Order("r-1", 1, 3)


def event(**changes: Any) -> bytes:
    return json.dumps({"id": "e-1", "type": "captured", "order_id": ORDER.id, **changes}).encode()


def signed(
    body: bytes,
    *,
    age_s: int = 0,
    secret: bytes = SECRET,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    stamp = str(int(time.time()) - age_s)
    signature = hmac.new(secret, stamp.encode() + b"." + body, sha256).hexdigest()
    given = {"Mock-Gateway-Signature": f"t={stamp},v1={signature}", **headers}
    return {"content": body, "headers": given}


def test_a_signed_event_is_in_the_log_before_it_is_answered() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        answer = await client.post(PATH, **signed(event()))
        assert (answer.status_code, answer.content) == (204, b"")
        [(partition, key, value)] = log_of(pod).told
        assert (partition, key) == (3, b"r-1")
        hint = told(value)
        assert (hint.name, hint.epoch, hint.gateway, hint.eventId) == (
            "PaymentHint",
            1,
            b"mock",
            b"e-1",
        )
        seats.failure = NotAppended("no brokers")
        problem(await client.post(PATH, **signed(event())), 503, "BROKER_UNAVAILABLE")

    asking(test)


def test_b69_nothing_of_an_event_that_nobody_here_signed_is_read() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        body = event()
        unsigned: list[dict[str, Any]] = [
            {"content": body},
            {"content": b"\xff" * 1_000},
            {"content": b"[" * 60_000},
            {"content": b""},
            signed(body, age_s=400),
            signed(body, age_s=-400),
            signed(body, secret=b"another secret of 16 bytes"),
            {**signed(body), "content": body + b" "},
            {**signed(body), "content": json.dumps(json.loads(body), indent=1).encode()},
            {"content": body, "headers": {"Mock-Gateway-Signature": NO_HEX}},
        ]
        for request in unsigned:
            answer = await client.post(PATH, **request)
            problem(answer, 400, "NOT_SIGNED")
            # Only a 401 has to name a scheme of authentication, and here none would help.
            assert "WWW-Authenticate" not in answer.headers
        problem(await client.post(PATH, content=bytes(65_537)), 413, "BODY_TOO_LARGE")
        assert not log_of(pod).told

    asking(test)


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"{}", event(id=1), event(order_id=None), event(order_id="a b")]
)
def test_b49_a_signed_event_that_cannot_be_read_is_refused(body: bytes) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        problem(await client.post(PATH, **signed(body)), 400, "MALFORMED")
        assert not log_of(pod).told

    asking(test)


@pytest.mark.parametrize(
    "order", ["another-shop-1", "r-1.1", "r-1.0.3", "r-1.1.4", "r-1.2147483648.0"]
)
def test_a_signed_event_about_no_order_of_ours_is_taken_and_nothing_comes_of_it(
    order: str,
) -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        answer = await client.post(PATH, **signed(event(order_id=order)))
        assert answer.status_code == 204
        assert not log_of(pod).told

    asking(test)


def test_the_type_and_coding_of_a_body_say_nothing_about_its_signature() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        said = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
        assert (await client.post(PATH, **signed(event(), headers=said))).status_code == 204

    asking(test)


def test_a_gateway_that_this_pod_does_not_have_is_not_there() -> None:
    async def test(seats: Seats, pod: Pod, client: httpx.AsyncClient) -> None:
        problem(await client.post("/v1/webhooks/stripe", **signed(event())), 404, "NOT_FOUND")
        problem(await client.get(PATH), 405, "METHOD_NOT_ALLOWED")

    asking(test)
