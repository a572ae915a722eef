"""The mock gateway as a process of its own, and what tests say to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from aiohttp import web
from support.gateways.serving import served

from infra.gateway.ledger import LedgerContent, read_ledger
from infra.stack import ephemeral_directory
from infra.stack.gateway import MockGateway as GatewayProcess
from infra.stack.loopback import tell
from streams.gateways.mock import MockGateway
from streams.gateways.protocol import Charge, Delivery, Refund
from streams.gateways.webhooks import Secrets

SECRET: Final = "the secret of these tests"
API_KEY: Final = "key_of_these_tests"
# Longer than anything takes on a slow machine; what ends by it is a failure.
PATIENCE_S: Final = 60.0
VARIABLES: Final = {"MOCK_GATEWAY_WEBHOOK_SECRET": SECRET, "MOCK_GATEWAY_API_KEY": API_KEY}


class RunningGateway:
    """A gateway that answers, until its block ends."""

    def __init__(self, process: GatewayProcess) -> None:
        self.process = process

    def control(self, path: str, **fields: Any) -> None:
        """Tell the control side; HTTPError where it refuses.

        A fault that is ordered twice fails a test, as the dropped connection would have.
        """
        tell(self.process.control_url + path, json.dumps(fields).encode(), PATIENCE_S)

    def order(self, fault: str, order_id: str, operation: str = "charge", times: int = 1) -> None:
        self.control("/faults", fault=fault, operation=operation, order_id=order_id, times=times)

    def ledger(self) -> LedgerContent:
        return read_ledger(self.process.ledger)

    @asynccontextmanager
    async def client(self, api_key: str = API_KEY) -> AsyncIterator[MockGateway]:
        gateway = MockGateway(self.process.url, api_key, Secrets(SECRET.encode()))
        try:
            yield gateway
        finally:
            await gateway.close()


@contextmanager
def running_gateway() -> Iterator[RunningGateway]:
    """Give a gateway with an empty ledger."""
    with ephemeral_directory("tests-gateway") as directory:
        process = GatewayProcess(directory / "gateway", VARIABLES)
        process.begin()
        try:
            process.wait()
            yield RunningGateway(process)
        finally:
            process.kill()


def charge(order_id: str, amount: int = 1250, key: str = "", **parameters: str) -> Charge:
    return Charge(
        order_id=order_id,
        amount=amount,
        currency="EUR",
        idempotency_key=key or f"pay:{order_id}",
        method="card",
        parameters=parameters,
    )


def refund(order_id: str, amount: int = 1250, currency: str = "EUR", key: str = "") -> Refund:
    return Refund(
        order_id=order_id,
        payment_id="pay_1",
        amount=amount,
        currency=currency,
        idempotency_key=key or f"refund:{order_id}",
    )


class Listener:
    """Takes webhooks; refuses the first `refusals` of them with 503."""

    def __init__(self, refusals: int = 0) -> None:
        self.deliveries: list[Delivery] = []
        self.refusals = refusals
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        headers = [(bytes(name), bytes(value)) for name, value in request.raw_headers]
        self.deliveries.append(Delivery(headers, await request.read()))
        self.refusals -= 1
        return web.Response(status=503 if self.refusals >= 0 else 204)


@asynccontextmanager
async def listening(listener: Listener) -> AsyncIterator[Listener]:
    application = web.Application()
    application.router.add_post("/hook", listener.take)
    async with served(application) as address:
        listener.url = f"{address}/hook"
        yield listener


async def until_async(condition: Any) -> None:
    """Return when the awaited condition holds; TimeoutError after PATIENCE_S."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 (nobody tells when it holds)
            await asyncio.sleep(0)
