"""The gateway's control side, for tests and the demo: faults, outages, webhooks, pending orders.

The control side listens at an address of its own, so that no public request reaches it.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from infra.gateway.books import Operation, Outcome, Refusal
from infra.gateway.faults import Fault, Order
from infra.gateway.requests import BadRequest, fields_of
from infra.gateway.server import GatewayServer, answer_to, now_ms, refused
from infra.gateway.webhooks import Manner


class Control:
    """Requests that change how the public side behaves. Each must have exactly its fields."""

    def __init__(self, server: GatewayServer) -> None:
        self._server = server

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_strict])
        for path, handler in (
            ("/faults", self._faults),
            ("/rates", self._rates),
            ("/clear", self._clear),
            ("/outage", self._outage),
            ("/pace", self._pace),
            ("/settle", self._settle),
            ("/webhooks", self._webhooks),
            ("/webhooks/send", self._send),
        ):
            application.router.add_post(path, handler)
        application.router.add_get("/ready", self._ready)
        return application

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.json_response({"faults": [fault.value for fault in Fault]})

    async def _faults(self, request: web.Request) -> web.Response:
        """Order a fault; operation and order_id may be "*"."""
        types: dict[str, type] = {"fault": str, "operation": str, "order_id": str, "times": int}
        given = fields_of(await request.read(), types)
        operation, order_id = given["operation"], given["order_id"]
        self._server.plan.order(
            Order(
                fault=Fault(given["fault"]),
                operation=None if operation == "*" else Operation(operation),
                order_id=None if order_id == "*" else order_id,
                times=given["times"],
            )
        )
        return _done()

    async def _rates(self, request: web.Request) -> web.Response:
        given = fields_of(await request.read(), {"operation": str, "rates": dict, "seed": int})
        rates = {Fault(fault): _share(share) for fault, share in given["rates"].items()}
        self._server.plan.set_rates(Operation(given["operation"]), rates)
        self._server.plan.seed = given["seed"]
        return _done()

    async def _clear(self, _request: web.Request) -> web.Response:
        self._server.plan.clear()
        self._server.down_until_s = 0.0
        return _done()

    async def _outage(self, request: web.Request) -> web.Response:
        """Reset every public request for `ms` from now on; 0 ends an outage."""
        given = fields_of(await request.read(), {"ms": int})
        self._server.down_until_s = time.monotonic() + given["ms"] / 1000
        return _done()

    async def _pace(self, request: web.Request) -> web.Response:
        given = fields_of(await request.read(), {"delay_ms": int, "late_ms": int})
        if min(given.values()) < 0:
            raise BadRequest("a pause is not negative")
        self._server.delay_ms, self._server.late_ms = given["delay_ms"], given["late_ms"]
        return _done()

    async def _settle(self, request: web.Request) -> web.Response:
        given = fields_of(await request.read(), {"order_id": str, "outcome": str})
        wanted = Outcome(given["outcome"])
        if wanted not in {Outcome.CAPTURED, Outcome.DECLINED}:
            raise BadRequest("an order is settled as captured or declined")
        books = self._server.books
        settled = await self._server.write(
            lambda: books.settle(given["order_id"], now_ms(), wanted)
        )
        return answer_to(settled) if isinstance(settled, Refusal) else _done()

    async def _webhooks(self, request: web.Request) -> web.Response:
        """Send every decision to `url` from now on.

        shares: share of the decisions by manner; the rest is sent `once`.
        """
        given = fields_of(await request.read(), {"url": str, "shares": dict})
        shares = {Manner(manner): _share(share) for manner, share in given["shares"].items()}
        if sum(shares.values()) > 1:
            raise BadRequest("shares are no more than 1 together")
        self._server.webhooks.url, self._server.webhooks.shares = given["url"], shares
        return _done()

    async def _send(self, request: web.Request) -> web.Response:
        """Send a webhook of how an order stands now, in a manner."""
        given = fields_of(await request.read(), {"order_id": str, "manner": str})
        entry = self._server.books.standing(given["order_id"])
        if entry is None:
            return refused(Refusal.NOT_FOUND, 404)
        if self._server.webhooks.url is None:
            raise BadRequest("there is no address to send to: tell it at /webhooks")
        self._server.webhooks.tell(entry, Manner(given["manner"]))
        return _done()


def _share(share: Any) -> float:
    if type(share) not in {int, float} or not 0 <= share <= 1:
        raise BadRequest("a share is 0 to 1")
    return float(share)


def _done() -> web.Response:
    return web.json_response({})


@web.middleware
async def _strict(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValueError as error:
        return refused("BAD_REQUEST", 400, str(error))
