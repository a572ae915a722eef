"""What the demo orders of the mock gateway is what that gateway then does."""

import asyncio

import pytest
from support.gateways.running import PATIENCE_S, charge, running_gateway

from infra.gateway.faults import Fault
from scripts.sale import gateway as module
from scripts.sale.gateway import GatewayControl
from streams.gateways.protocol import Captured, ChargeAnswer, Declined

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]


def test_the_gateway_declines_and_is_away_as_the_demo_orders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "OF_CHARGES", {Fault.DECLINE: 1.0})
    with running_gateway() as gateway:
        control = GatewayControl(gateway.process.control_url, seed=7)

        async def asked(order_id: str) -> ChargeAnswer:
            async with gateway.client() as client:
                return await client.process(charge(order_id), PATIENCE_S)

        assert isinstance(asyncio.run(asked("a")), Captured)
        control.misbehave()
        control.tell_of_decisions("http://127.0.0.1:1")
        assert isinstance(asyncio.run(asked("b")), Declined)
        # Longer than this machine can be busy.
        monkeypatch.setattr(module, "OUTAGE_S", 3_600.0)
        control.break_down()
        assert not isinstance(asyncio.run(asked("c")), Captured | Declined)
