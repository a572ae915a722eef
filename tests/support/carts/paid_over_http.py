"""Requests about payments of carts, over carts, sections and payments in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from support.carts.carting import SECTIONS
from support.carts.paid_carts import PAYMENTS, PaidCarts
from support.logs.log_in_memory import LogInMemory
from support.pods.api_pods import client_of
from support.pods.carts_asked import ANN, CartLog, CartOwners, create, wish
from support.pods.reservation_pods import Seats, pod_over
from support.seats.section_commands import IDS

from api.commands.cart_desk import CartDesk
from api.commands.payment_desk import PaymentDesk
from api.pod import Pod
from api.settings import ApiSettings
from infra.process.record_ids import Headers
from schemas.topics import PAYMENT_COMMANDS
from state.domain.keys import split_issued_id
from state.kafka.command_log import Appended
from state.owners.left_alone import LeftAlone
from streams.gateways.registry import opened

Test = Callable[[PaidCarts, Pod, httpx.AsyncClient], Awaitable[None]]


class PaidLog(CartLog):
    """A CartLog of which all hear at once, or those whom `hears` lets hear."""

    def __init__(self, world: PaidCarts) -> None:
        super().__init__(world)
        self.hears = world.relay_all

    async def send(self, *args: Any, **options: Any) -> Appended:
        appended = await super().send(*args, **options)
        self.hears()
        return appended


class PaymentsLog(LogInMemory):
    """Stands for the CommandLog of payment-commands."""

    def __init__(self, world: PaidCarts) -> None:
        self.world = world

    async def send(
        self, key: bytes, value: bytes, *, partition: int, headers: Headers = ()
    ) -> Appended:
        await asyncio.sleep(0)
        record = self.world.driver.pipe(PAYMENTS, key, value, partition=partition, headers=headers)
        self.world.relay_all()
        return Appended(partition, record.offset)


def asking(test: Test, **world: Any) -> None:
    """Run a test over three open sections with prices, with one pod and its client."""

    async def go() -> None:
        async with asyncio.timeout(60):
            paid = PaidCarts(**world)
            logs: Any = PaidLog(paid), PaymentsLog(paid)
            owners = CartOwners(paid)
            parts = {
                "carts": CartDesk(IDS, logs[0]),
                "payments": PaymentDesk(
                    IDS,
                    logs[1],
                    opened(ApiSettings().gateways, {}),
                    LeftAlone(owners, PAYMENT_COMMANDS.name),
                ),
                "owners": owners,
            }
            pod = pod_over(Seats(), parts=parts)
            async with client_of(pod) as client:
                await test(paid, pod, client)
            assert len(pod.waits) == 0

    asyncio.run(go())


async def held(client: httpx.AsyncClient, *sections: str) -> dict[str, Any]:
    """Return a cart with one seat in each section; by default the first two."""
    chosen = sections or SECTIONS[:2]
    cart = await create(client, wish(*((section, 1) for section in chosen)))
    assert cart.status_code == 201, cart.text
    found: dict[str, Any] = cart.json()
    return found


async def pay(
    client: httpx.AsyncClient,
    cart: dict[str, Any],
    key: str = "p1",
    who: dict[str, str] = ANN,
    *,
    headers: dict[str, str] | None = None,
    **changed: Any,
) -> httpx.Response:
    card = {"method": "card", "parameters": {"token": "tok-1"}}
    body = {"amount": cart["amount"], "currency": cart["currency"], **card, **changed}
    path = f"/v1/carts/{cart['cart_id']}/payments"
    asked = {**who, "Idempotency-Key": key, **(headers or {})}
    return await client.post(path, json=body, headers=asked)


async def shown(client: httpx.AsyncClient, cart: dict[str, Any], query: str = "") -> Any:
    answer = await client.get(f"/v1/carts/{cart['cart_id']}/payment{query}", headers=ANN)
    assert answer.status_code == 200, answer.text
    return answer.json()


def home_of(cart: dict[str, Any]) -> int:
    parts = split_issued_id(cart["cart_id"])
    assert parts is not None
    return parts.partition
