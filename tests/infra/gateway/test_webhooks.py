import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from support.gateways.running import (
    PATIENCE_S,
    Listener,
    RunningGateway,
    charge,
    listening,
    refund,
    running_gateway,
)
from support.pods.conditions import until

from infra.gateway.webhooks import signature
from streams.gateways.protocol import Captured, Hint
from streams.gateways.webhooks import WebhookRefusal

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]


@pytest.fixture
def gateway() -> Iterator[RunningGateway]:
    with running_gateway() as running:
        yield running


def test_the_signature_is_that_of_the_scheme() -> None:
    """Worked out by openssl: `printf '1700000000.{}' | openssl dgst -sha256 -hmac "$SECRET"`."""
    stated = signature(b"a secret of 16 bytes, or more", 1_700_000_000, b"{}")
    assert (
        stated
        == "t=1700000000,v1=0e53512e92baf05a09c27bca1d6461e6dcdc625ebf44f482d8e743d66c2253b9"
    )


async def judged(gateway: RunningGateway, listener: Listener) -> list[Any]:
    """Return what the client says of each delivery."""
    async with gateway.client() as client:
        now_ms = time.time_ns() // 1_000_000
        return [await client.webhook(delivery, now_ms) for delivery in listener.deliveries]


def told(gateway: RunningGateway, manner: str, expected: int, refusals: int = 0) -> list[Any]:
    """Charge one order and give it back, and return what `expected` deliveries hint at."""

    async def test() -> list[Any]:
        async with listening(Listener(refusals)) as listener, gateway.client() as client:
            gateway.control("/webhooks", url=listener.url, shares={manner: 1.0})
            assert isinstance(await client.process(charge("o"), PATIENCE_S), Captured)
            # Whatever is sent of the charge comes first, but for what is held back.
            of_charge = 0 if manner == "out_of_order" else (expected + refusals) // 2
            await until(lambda: len(listener.deliveries) >= of_charge, PATIENCE_S)
            if manner == "out_of_order":
                gateway.control("/webhooks", url=listener.url, shares={})
            await client.refund(refund("o"), PATIENCE_S)
            await until(lambda: len(listener.deliveries) >= expected + refusals, PATIENCE_S)
            return await judged(gateway, listener)

    return asyncio.run(test())


CAPTURED = Hint("evt_1", "payment.captured", "o")
REFUNDED = Hint("evt_2", "payment.refunded", "o")
FORGED = WebhookRefusal.WRONG_SIGNATURE


@pytest.mark.parametrize(
    ("manner", "hints"),
    [
        ("once", [CAPTURED, REFUNDED]),
        ("twice", [CAPTURED, CAPTURED, REFUNDED, REFUNDED]),
        ("forged", [FORGED, CAPTURED, FORGED, REFUNDED]),
    ],
)
def test_f58_events_are_sent_in_the_manner_asked_for(
    gateway: RunningGateway, manner: str, hints: list[Any]
) -> None:
    assert told(gateway, manner, len(hints)) == hints


def test_f58_out_of_order_is_after_the_next_one(gateway: RunningGateway) -> None:
    # The two are sent at once then, so which of them arrives first is anybody's guess.
    hints = told(gateway, "out_of_order", 2)
    assert sorted(hint.event_id for hint in hints) == ["evt_1", "evt_2"]


def test_who_does_not_take_an_event_gets_it_again(gateway: RunningGateway) -> None:
    hints = told(gateway, "once", 2, refusals=1)
    assert sorted(hint.event_id for hint in hints) == ["evt_1", "evt_1", "evt_2"]


def test_an_event_is_sent_by_order_of_how_the_order_stands(gateway: RunningGateway) -> None:
    async def test() -> None:
        async with listening(Listener()) as listener, gateway.client() as client:
            gateway.control("/webhooks", url=listener.url, shares={"never": 1.0})
            await client.process(charge("o"), PATIENCE_S)
            gateway.control("/webhooks/send", order_id="o", manner="once")
            await until(lambda: listener.deliveries, PATIENCE_S)
            (hint,) = await judged(gateway, listener)
            assert hint == CAPTURED
            body = json.loads(listener.deliveries[0].body)
            assert (body["amount"], body["currency"]) == (1250, "EUR")

    asyncio.run(test())


def test_f58_an_event_comes_before_an_answer_that_is_late(gateway: RunningGateway) -> None:
    async def test() -> None:
        async with listening(Listener()) as listener, gateway.client() as client:
            gateway.control("/webhooks", url=listener.url, shares={})
            gateway.order("done_then_hang", "o")
            asked = asyncio.create_task(client.process(charge("o"), PATIENCE_S))
            await until(lambda: listener.deliveries, PATIENCE_S)
            assert not asked.done()
            asked.cancel()
            with suppress(asyncio.CancelledError):
                await asked

    asyncio.run(test())
