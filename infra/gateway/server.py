"""The gateway's public side: `POST /v1/charges`, `POST /v1/refunds`, `GET /v1/orders/{id}`."""

import asyncio
import hmac
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from infra.gateway.books import Books, Entry, Operation, Outcome, Refusal, erring
from infra.gateway.faults import Fault, FaultPlan
from infra.gateway.ledger import Ledger
from infra.gateway.requests import BadRequest, charge_of, refund_of
from infra.gateway.webhooks import Webhooks

BODY_BYTES_MAX: Final = 64 * 1024
RETRY_AFTER_S: Final = 1
_KEY_MAX: Final = 200
_OVERSIZED_BYTES: Final = 1 << 20
# A linger of 0 s makes a close a reset, as when the other machine goes away.
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_LOOKS_S: Final = 0.05

_STATUS: Final = {
    Outcome.CAPTURED: 200,
    Outcome.REFUNDED: 200,
    Outcome.PENDING: 202,
    Outcome.DECLINED: 402,
}
# The parameter by which a charge asks for a fault, for callers that cannot reach the control side.
FAULT_PARAMETER: Final = "fault"


class GatewayServer:
    """Decides by the books, writes the decision down and answers, unless a fault is demanded.

    api_key:  the key that callers must send; empty to admit everybody.
    delay_ms: pause before every answer. late_ms: further pause before a late answer.
    """

    def __init__(
        self,
        ledger: Ledger,
        webhooks: Webhooks,
        plan: FaultPlan,
        *,
        api_key: str = "",
        delay_ms: int = 0,
        late_ms: int = 3_000,
    ) -> None:
        self.books = Books(ledger.content.entries)
        self.webhooks = webhooks
        self.plan = plan
        self.delay_ms = delay_ms
        self.late_ms = late_ms
        self.down_until_s = 0.0
        self.leaving = asyncio.Event()
        self._ledger = ledger
        self._api_key = api_key.encode()

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._guarded], client_max_size=BODY_BYTES_MAX)
        application.router.add_post("/v1/charges", self._charge)
        application.router.add_post("/v1/refunds", self._refund)
        application.router.add_get("/v1/orders/{order_id}", self._order)
        return application

    @web.middleware
    async def _guarded(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if time.monotonic() < self.down_until_s:
            return reset(request)
        shown = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if self._api_key and not hmac.compare_digest(shown, b"Bearer " + self._api_key):
            return refused("NOT_ALLOWED", 401)
        try:
            return await handler(request)
        except BadRequest as error:
            return refused("BAD_REQUEST", 400, str(error))

    async def _charge(self, request: web.Request) -> web.StreamResponse:
        asked, key = charge_of(await request.read()), key_of(request)
        fault = _ordered(asked.parameters) or self.plan.next(Operation.CHARGE, asked.order_id)

        def decide() -> Entry | Refusal:
            wanted = {Fault.DECLINE: Outcome.DECLINED, Fault.PENDING: Outcome.PENDING}
            outcome = wanted.get(fault, Outcome.CAPTURED) if fault else Outcome.CAPTURED
            reason = "CARD_DECLINED" if outcome is Outcome.DECLINED else ""
            entry = self.books.charge(asked, key, now_ms(), outcome, reason)
            if isinstance(entry, Refusal) or not self.books.is_new(entry):
                return entry
            if fault is Fault.WRONG_AMOUNT:
                return erring(entry, amount=True)
            return erring(entry, currency=True) if fault is Fault.WRONG_CURRENCY else entry

        return await self._performed(request, fault, decide)

    async def _refund(self, request: web.Request) -> web.StreamResponse:
        asked, key = refund_of(await request.read()), key_of(request)
        fault = self.plan.next(Operation.REFUND, asked.order_id)
        return await self._performed(
            request, fault, lambda: self.books.refund(asked, key, now_ms())
        )

    async def _order(self, request: web.Request) -> web.StreamResponse:
        order_id = request.match_info["order_id"]
        fault = self.plan.next(Operation.LOOK_UP, order_id)
        return await self._performed(
            request, fault, lambda: self.books.standing(order_id) or Refusal.NOT_FOUND
        )

    async def _performed(
        self, request: web.Request, fault: Fault | None, decide: Callable[[], Entry | Refusal]
    ) -> web.StreamResponse:
        """Decide and answer a request, or fail before or after the decision as `fault` says."""
        await asyncio.sleep(self.delay_ms / 1000)
        match fault:
            case Fault.ERROR:
                return refused("INTERNAL", 500)
            case Fault.TOO_MANY:
                answer = refused("TOO_MANY", 429)
                answer.headers["Retry-After"] = str(RETRY_AFTER_S)
                return answer
            case Fault.HANG:
                return await self._hang(request)
            case Fault.RESET:
                return reset(request)
            case _:
                decided = await self.write(decide)
        match fault:
            case Fault.LATE:
                await asyncio.sleep(self.late_ms / 1000)
            case Fault.DONE_THEN_ERROR:
                return refused("INTERNAL", 500)
            case Fault.DONE_THEN_HANG:
                return await self._hang(request)
            case Fault.DONE_THEN_RESET:
                return reset(request)
            case Fault.GARBAGE:
                return web.Response(body=b"\x00\xff<html>", content_type="application/json")
            case Fault.OVERSIZED:
                return web.Response(body=b" " * _OVERSIZED_BYTES, content_type="application/json")
            case Fault.WRONG_TYPES:
                return web.json_response({"status": "captured", "amount": "12.50"})
            case _:
                pass
        return answer_to(decided)

    async def write(self, decide: Callable[[], Entry | Refusal]) -> Entry | Refusal:
        """Decide; return once the decision, and all those before it, are on the disk.

        Nothing is awaited between `decide` and `keep`, so two requests with one key get one
        decision.
        """
        decided = decide()
        is_new = isinstance(decided, Entry) and self.books.is_new(decided)
        try:
            if isinstance(decided, Entry) and is_new:
                self._ledger.append(decided)
                self.books.keep(decided)
            await self._ledger.durable()
        except OSError as error:
            # Nobody knows what the disk has now, so no answer may be given.
            print(f"gateway: the ledger cannot be written: {error}", flush=True)
            os._exit(1)
        if isinstance(decided, Entry) and is_new:
            self.webhooks.tell(decided)
        return decided

    async def _hang(self, request: web.Request) -> web.StreamResponse:
        """Send nothing until the caller has gone, or the gateway ends."""
        while not self.leaving.is_set():
            if request.transport is None or request.transport.is_closing():
                break
            await asyncio.sleep(_LOOKS_S)
        return reset(request)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def key_of(request: web.Request) -> str:
    keys = request.headers.getall("Idempotency-Key", [])
    if len(keys) != 1 or not 0 < len(keys[0]) <= _KEY_MAX or not keys[0].isascii():
        raise BadRequest("one Idempotency-Key, of at most 200 ASCII characters")
    return keys[0]


def _ordered(parameters: dict[str, str]) -> Fault | None:
    wanted = parameters.get(FAULT_PARAMETER)
    if wanted is None:
        return None
    try:
        return Fault(wanted)
    except ValueError as error:
        raise BadRequest("no such fault") from error


def refused(error: str, status: int, why: str = "") -> web.Response:
    return web.json_response({"error": error, "why": why}, status=status)


def reset(request: web.Request) -> web.StreamResponse:
    """Reset the connection. The response that is returned reaches nobody."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None and not transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        assert isinstance(transport, asyncio.WriteTransport), "a connection can be written"
        transport.abort()
    return web.Response(status=500)


def answer_to(decided: Entry | Refusal) -> web.Response:
    """Return the response that tells a decision."""
    match decided:
        case Refusal.STILL_PENDING:
            return web.json_response({"status": "pending"}, status=202)
        case Refusal.NOT_FOUND:
            return refused(decided, 404)
        case Refusal.PARTIAL_REFUND:
            return refused(decided, 422)
        case Refusal():
            return refused(decided, 409)
    shown: dict[str, Any] = {
        "status": decided.outcome.value,
        "order_id": decided.order_id,
        "payment_id": decided.payment_id,
    }
    match decided.outcome:
        case Outcome.CAPTURED:
            shown |= {"method": decided.method, "approved_at_ms": decided.at_ms}
        case Outcome.REFUNDED:
            shown |= {"refund_id": decided.refund_id, "refunded_at_ms": decided.at_ms}
        case Outcome.DECLINED:
            shown |= {"reason": decided.reason}
        case Outcome.PENDING:
            pass
    if decided.amount:
        shown |= {"amount": decided.amount, "currency": decided.currency}
    return web.json_response(shown, status=_STATUS[decided.outcome])
