"""Requests about carts, over carts and sections in memory that the real handlers decide."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
from support.carts.carting import CARTS, PARTITIONS, Carting
from support.logs.log_in_memory import LogInMemory
from support.pages.tokens import bearer
from support.pods.api_pods import client_of
from support.pods.reservation_pods import Nobody, Seats, pod_over
from support.seats.section_commands import EVENT, IDS

from api.commands.cart_desk import CartDesk
from api.pod import Pod
from infra.process.record_ids import Headers
from state.domain.keys import partition_of
from state.kafka.command_log import Appended
from state.owners.lookup import OwnerLookup
from state.owners.protocol import left_alone
from state.owners.questions import Question, payloads_in
from state.views.availability.statuses import SectionStatuses

ANN, BOB = bearer(sub="ann"), bearer(sub="bob")
PATH = f"/v1/events/{EVENT}/carts"

Test = Callable[[Carting, Pod, httpx.AsyncClient], Awaitable[None]]


class CartLog(LogInMemory):
    """Stands for the CommandLog of cart-commands; `failure` is raised by the next send."""

    def __init__(self, world: Carting) -> None:
        self.world = world
        self.failure: Exception | None = None
        self.is_closed = False

    async def close(self) -> None:
        self.is_closed = True

    async def send(
        self, key: bytes, value: bytes, *, partition: int, headers: Headers = ()
    ) -> Appended:
        await asyncio.sleep(0)
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        assert partition == partition_of(key, PARTITIONS)
        record = self.world.driver.pipe(CARTS, key, value, headers=headers)
        return Appended(partition, record.offset)


class CartOwners(OwnerLookup):
    """Asks the store of carts itself, once; `failure` is raised by each look-up.

    is_behind: it has not come as far as any cart yet. alone: what owners leave alone, ms by
    gateway.
    """

    def __init__(self, world: Carting) -> None:
        super().__init__("nowhere:1", "carts", patience_s=0, directory=Nobody())
        self.world = world
        self.failure: Exception | None = None
        self.is_behind = False
        self.alone: dict[str, int] = {}
        self.asked = 0

    async def _attempt(
        self,
        question: Question,
        least: int,
        newer_than_s: float,  # noqa: ARG002
    ) -> list[bytes | None]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        if not question.keys:
            return [left_alone(*one) for one in self.alone.items()]
        [key] = question.keys
        stored = self.world.driver.stored(question.topic, question.partition)
        headers = {"X-Owner": "one", "X-Progress-Offset": "0"}
        status = 200 if key in stored and not self.is_behind else 404
        return payloads_in("one", status, headers, stored.get(key, b""), 1, least)


def asking(
    test: Test,
    rows: Sequence[str] = ("....",) * 3,
    *,
    relays: bool = True,
    view: SectionStatuses | None = None,
) -> None:
    """Run a test over three open sections, with one pod and its client.

    view: what the pod believes of them; by default nothing.
    """

    async def go() -> None:
        async with asyncio.timeout(60):
            world = Carting(rows, relays=relays)
            world.relay_all()
            log: Any = CartLog(world)
            parts = {"carts": CartDesk(IDS, log), "owners": CartOwners(world)}
            pod = pod_over(Seats(), view=view, parts=parts)
            async with client_of(pod) as client:
                await test(world, pod, client)
            assert len(pod.waits) == 0

    asyncio.run(go())


def log_of(pod: Pod) -> CartLog:
    log: Any = pod.carts.log
    found: CartLog = log
    return found


def owners_of(pod: Pod) -> CartOwners:
    assert isinstance(pod.owners, CartOwners)
    return pod.owners


def wish(*items: tuple[str, int], **more: Any) -> dict[str, Any]:
    """Return a wish for so many of the best seats of each section."""
    return {"items": [{"section": name, "quantity": count} for name, count in items], **more}


async def create(
    client: httpx.AsyncClient,
    body: dict[str, Any],
    key: str = "k1",
    who: dict[str, str] = ANN,
    **headers: str,
) -> httpx.Response:
    return await client.post(PATH, json=body, headers={**who, "Idempotency-Key": key, **headers})
