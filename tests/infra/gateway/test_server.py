"""The process itself, killed and asked again; its answers are in `streams/gateways/test_mock`."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from support.gateways.running import (
    PATIENCE_S,
    RunningGateway,
    charge,
    refund,
    running_gateway,
    until_async,
)

from infra.stack.processes import wait_until
from streams.gateways.mock import MockGateway
from streams.gateways.protocol import Captured, Unavailable, Unknown

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]


@pytest.fixture
def gateway() -> Iterator[RunningGateway]:
    with running_gateway() as running:
        yield running


async def paid(client: MockGateway, order_id: str) -> Captured:
    """Repeat a charge under its key until it is captured."""
    captured: list[Captured] = []

    async def is_captured() -> bool:
        answer = await client.process(charge(order_id), PATIENCE_S)
        if isinstance(answer, Captured):
            captured.append(answer)
        else:
            assert isinstance(answer, Unknown | Unavailable)
        return bool(captured)

    await until_async(is_captured)
    return captured[0]


def test_f56_killed_amid_charges_it_has_all_that_it_told_and_repeats_charge_once(
    gateway: RunningGateway,
) -> None:
    orders = [f"o{number}" for number in range(60)]
    told: dict[str, Captured] = {}

    async def until_killed(client: MockGateway, order_id: str) -> None:
        answer = await client.process(charge(order_id), PATIENCE_S)
        if isinstance(answer, Captured):
            told[order_id] = answer

    async def crash_in_the_middle() -> None:
        async with gateway.client() as client:
            charging = [asyncio.create_task(until_killed(client, order)) for order in orders]

            async def some_are_told() -> bool:
                return len(told) >= 3

            await until_async(some_are_told)
            gateway.process.kill()
            await asyncio.gather(*charging)

    async def repeat() -> dict[str, Captured]:
        async with gateway.client() as client:
            return {order: await paid(client, order) for order in orders}

    asyncio.run(crash_in_the_middle())
    gateway.process.restart()
    gateway.process.wait()
    in_the_end = asyncio.run(repeat())
    assert {order: in_the_end[order] for order in told} == told
    counted = Counter(entry.order_id for entry in gateway.ledger().captures)
    assert counted == Counter(orders)


def test_a_torn_line_is_cut_off_at_the_start_and_said(gateway: RunningGateway) -> None:
    async def pay() -> Captured:
        async with gateway.client() as client:
            return await paid(client, "o")

    first = asyncio.run(pay())
    gateway.process.kill()
    with gateway.process.ledger.open("ab") as file:
        file.write(b'{"number":2,"oper')
    gateway.process.restart()
    gateway.process.wait()
    assert gateway.process.child is not None
    assert "cut off 17 bytes" in gateway.process.child.output()
    assert asyncio.run(pay()) == first
    assert gateway.ledger().torn_bytes == 0


def test_f60_an_outage_resets_everything_until_it_is_over(gateway: RunningGateway) -> None:
    async def test() -> None:
        async with gateway.client() as client:
            gateway.control("/outage", ms=3_600_000)
            assert isinstance(await client.process(charge("o"), PATIENCE_S), Unknown)
            assert isinstance(await client.verify("o", PATIENCE_S), Unknown)
            assert isinstance(await client.refund(refund("o"), PATIENCE_S), Unknown)
            assert gateway.ledger().entries == ()
            gateway.control("/outage", ms=0)
            assert isinstance(await client.process(charge("o"), PATIENCE_S), Captured)
            gateway.control("/outage", ms=100)
            await paid(client, "o2")

    asyncio.run(test())


def test_sigterm_ends_it_in_order_while_a_call_hangs(gateway: RunningGateway) -> None:
    async def test() -> int | None:
        async with gateway.client() as client:
            gateway.order("done_then_hang", "o")
            hanging = asyncio.create_task(client.process(charge("o"), PATIENCE_S))

            async def is_captured() -> bool:
                return isinstance(await client.verify("o", PATIENCE_S), Captured)

            await until_async(is_captured)
            child = gateway.process.child
            assert child is not None
            child.signal(15)
            assert isinstance(await hanging, Unknown)
            assert await asyncio.to_thread(wait_until, lambda: not child.is_alive(), PATIENCE_S)
            return child.exit_code()

    assert asyncio.run(test()) == 0
