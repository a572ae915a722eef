import asyncio
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest
from support.gateways.running import PATIENCE_S, RunningGateway, charge, running_gateway

from streams.gateways.protocol import Captured, Declined, Pending, Unknown

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def gateway() -> Iterator[RunningGateway]:
    with running_gateway() as running:
        yield running


@pytest.mark.parametrize("outcome", ["captured", "declined"])
def test_a_pending_order_is_settled_and_its_key_keeps_its_answer(
    gateway: RunningGateway, outcome: str
) -> None:
    async def test() -> None:
        order_id = f"settled-{outcome}"
        async with gateway.client() as client:
            asked = charge(order_id, fault="pending")
            assert await client.process(asked, PATIENCE_S) == Pending()
            gateway.control("/settle", order_id=order_id, outcome=outcome)
            found = await client.verify(order_id, PATIENCE_S)
            assert isinstance(found, Captured if outcome == "captured" else Declined)
            assert await client.process(asked, PATIENCE_S) == Pending()

    asyncio.run(test())


def test_faults_by_a_rate_are_those_of_the_seed(gateway: RunningGateway) -> None:
    async def declined() -> list[str]:
        async with gateway.client() as client:
            orders = [f"rate-{number}" for number in range(40)]
            answers = [await client.verify(order, PATIENCE_S) for order in orders]
            return [
                order
                for order, answer in zip(orders, answers, strict=True)
                if isinstance(answer, Unknown)
            ]

    gateway.control("/rates", operation="look_up", rates={"error": 0.5}, seed=7)
    try:
        # Of 40 draws; none and all are as likely as one in 10^12.
        assert 0 < len(asyncio.run(declined())) < 40
    finally:
        gateway.control("/clear")
    assert asyncio.run(declined()) == []


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/faults", {"fault": "nonsense", "operation": "*", "order_id": "*", "times": 1}),
        ("/faults", {"fault": "hang", "operation": "steal", "order_id": "*", "times": 1}),
        ("/faults", {"fault": "hang"}),
        ("/rates", {"operation": "charge", "rates": {"hang": 2}, "seed": 1}),
        ("/rates", {"operation": "charge", "rates": {"hang": "1"}, "seed": 1}),
        ("/outage", {"ms": "1"}),
        ("/pace", {"delay_ms": -1, "late_ms": 0}),
        ("/settle", {"order_id": "o", "outcome": "refunded"}),
        ("/webhooks", {"url": "http://x/", "shares": {"thrice": 1}}),
        ("/webhooks", {"url": "http://x/", "shares": {"twice": 0.6, "never": 0.6}}),
        ("/webhooks/send", {"order_id": "unknown", "manner": "once"}),
    ],
)
def test_what_it_does_not_understand_is_refused(
    gateway: RunningGateway, path: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        gateway.control(path, **fields)
    assert raised.value.code in {400, 404}


def test_an_event_that_has_nobody_to_go_to_is_refused(gateway: RunningGateway) -> None:
    async def test() -> None:
        async with gateway.client() as client:
            assert isinstance(await client.process(charge("unheard"), PATIENCE_S), Captured)

    asyncio.run(test())
    with pytest.raises(urllib.error.HTTPError) as raised:
        gateway.control("/webhooks/send", order_id="unheard", manner="once")
    assert raised.value.code == 400


def test_the_public_side_takes_no_orders(gateway: RunningGateway) -> None:
    async def test() -> None:
        async with gateway.client() as client:
            said = await client._calls.ask("POST", "/outage", PATIENCE_S, body={"ms": 1})
            assert isinstance(said, Unknown)

    asyncio.run(test())
