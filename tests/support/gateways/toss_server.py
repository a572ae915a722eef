"""Toss Payments' public contract as a local server, as far as the gateway `toss` speaks it.

Written from what is public of it, apart from the gateway's code; the real Toss was not reached.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

KEY: Final = "test_sk_of_these_tests"
PAID_AT: Final = "2026-11-27T09:00:00+09:00"
PAID_AT_MS: Final = 1_795_737_600_000
_BASIC: Final = "Basic " + b64encode(f"{KEY}:".encode()).decode()

Json = dict[str, Any]


class TossFault(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.body: Json = {"code": code, "message": "카드 정보를 다시 확인해주세요."}


@dataclass
class TossServer:
    """Payments by their keys, as a buyer's page has begun them.

    lost: so many answers are lost once they are made up. refuses: what the next confirmation is
    refused with. changed: fields that look-ups tell otherwise than they are.
    """

    payments: dict[str, Json] = field(default_factory=dict)
    asked: list[tuple[str, Json, dict[str, str]]] = field(default_factory=list)
    lost: int = 0
    refuses: TossFault | None = None
    changed: Json = field(default_factory=dict)
    _answers: dict[tuple[str, str], tuple[Json, int, Json]] = field(default_factory=dict)

    def begin(self, key: str, order: str, amount: int, method: str = "카드") -> None:
        """Let a buyer have chosen how to pay, on Toss's page."""
        self.payments[key] = {
            "paymentKey": key,
            "orderId": order,
            "currency": "KRW",
            "method": method,
            "totalAmount": amount,
            "balanceAmount": amount,
            "status": "IN_PROGRESS",
            "approvedAt": None,
            "cancels": None,
        }

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/v1/payments/confirm", self._answering(self._confirm))
        application.router.add_post("/v1/payments/{key}/cancel", self._answering(self._cancel))
        application.router.add_get("/v1/payments/orders/{order}", self._answering(self._order))
        return application

    def _answering(
        self, act: Callable[[Json, web.Request], Json]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            fields = {} if request.method == "GET" else await request.json()
            self.asked.append((request.path, fields, dict(request.headers)))
            status, body = self._kept(fields, request, act)
            if self.lost:
                self.lost -= 1
                assert request.transport is not None
                request.transport.close()
            return web.json_response(body, status=status)

        return answer

    def _kept(
        self, fields: Json, request: web.Request, act: Callable[[Json, web.Request], Json]
    ) -> tuple[int, Json]:
        key = (request.path, request.headers.get("Idempotency-Key", ""))
        if request.headers.get("Authorization") != _BASIC:
            return 401, TossFault(401, "UNAUTHORIZED_KEY").body
        if key in self._answers:
            first, status, body = self._answers[key]
            reused = TossFault(400, "INVALID_IDEMPOTENCY_KEY")
            return (status, body) if first == fields else (400, reused.body)
        try:
            status, body = 200, dict(act(fields, request))
        except TossFault as fault:
            status, body = fault.status, fault.body
        if key[1] and status != 500:
            self._answers[key] = (fields, status, body)
        return status, body

    def _confirm(self, fields: Json, _request: web.Request) -> Json:
        payment = self.payments.get(fields["paymentKey"])
        if payment is None:
            raise TossFault(404, "NOT_FOUND_PAYMENT_SESSION")
        if payment["status"] != "IN_PROGRESS":
            raise TossFault(400, "ALREADY_PROCESSED_PAYMENT")
        if (payment["orderId"], payment["totalAmount"]) != (fields["orderId"], fields["amount"]):
            raise TossFault(400, "INVALID_REQUEST")
        if self.refuses is not None:
            if self.refuses.status < 500:
                payment["status"] = "ABORTED"
            fault, self.refuses = self.refuses, None
            raise fault
        is_slow = payment["method"] == "가상계좌"
        payment["status"] = "WAITING_FOR_DEPOSIT" if is_slow else "DONE"
        payment["approvedAt"] = PAID_AT
        return payment

    def _cancel(self, fields: Json, request: web.Request) -> Json:
        payment = self.payments.get(request.match_info["key"])
        if payment is None:
            raise TossFault(404, "NOT_FOUND_PAYMENT")
        if payment["status"] == "CANCELED":
            raise TossFault(400, "ALREADY_CANCELED_PAYMENT")
        if payment["status"] != "DONE":
            raise TossFault(403, "NOT_CANCELABLE_PAYMENT")
        payment["cancels"] = [
            {
                "cancelAmount": payment["balanceAmount"],
                "cancelReason": fields["cancelReason"],
                "cancelStatus": "DONE",
                "canceledAt": "2026-11-27T00:01:00Z",
                "transactionKey": "cancel_1",
            }
        ]
        payment["status"], payment["balanceAmount"] = "CANCELED", 0
        return payment

    def _order(self, _fields: Json, request: web.Request) -> Json:
        order = request.match_info["order"]
        found = [one for one in self.payments.values() if one["orderId"] == order]
        if not found:
            raise TossFault(404, "NOT_FOUND_PAYMENT")
        return {**found[-1], **self.changed}
