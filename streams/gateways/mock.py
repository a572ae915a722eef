"""The client of the mock gateway, which is the process in `infra/gateway`."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from infra.process.environment import Environment
from streams.gateways import protocol
from streams.gateways.answers import signed_hint, to_charge, to_refund
from streams.gateways.calls import HttpCalls, Said
from streams.gateways.settings import base_url, header_text, secrets_of
from streams.gateways.webhooks import Secrets, WebhookRefusal

NAME: Final = "mock"
URL: Final = "MOCK_GATEWAY_URL"
API_KEY: Final = "MOCK_GATEWAY_API_KEY"
WEBHOOK_SECRET: Final = "MOCK_GATEWAY_WEBHOOK_SECRET"  # noqa: S105 (the variable's name)
OLD_WEBHOOK_SECRET: Final = "MOCK_GATEWAY_OLD_WEBHOOK_SECRET"  # noqa: S105
SIGNATURE_HEADER: Final = b"mock-gateway-signature"
_PUBLIC_SECRET: Final = "the mock gateway's webhook secret"  # noqa: S105 (everybody knows it)
_DEFAULT_URL: Final = "http://127.0.0.1:8900"
# A token begins with a letter, which no card number does. A fault is one that the process knows.
_PARAMETERS: Final = {
    "token": re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}"),
    "fault": re.compile(r"[a-z_]{1,32}"),
}

_Moved = TypeVar("_Moved", protocol.Captured, protocol.Refunded)


class MockGateway:
    """Calls the mock gateway's process; see `protocol.Gateway`."""

    name: Final = NAME

    def __init__(self, url: str, api_key: str, secrets: Secrets) -> None:
        credentials = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._calls = HttpCalls(url, credentials)
        self._secrets = secrets

    def wrong_detail(
        self, method: str, parameters: Mapping[str, str]
    ) -> protocol.WrongDetail | None:
        del method
        if not parameters.keys() <= _PARAMETERS.keys():
            return protocol.WrongDetail("parameters", f"none but {' and '.join(_PARAMETERS)}")
        for name, value in parameters.items():
            if not _PARAMETERS[name].fullmatch(value):
                return protocol.WrongDetail(
                    f"parameters.{name}", f"matches {_PARAMETERS[name].pattern}"
                )
        return None

    async def process(self, charge: protocol.Charge, timeout_s: float) -> protocol.ChargeAnswer:
        how = {"method": charge.method, "parameters": dict(charge.parameters)}
        return to_charge(await self._move("/v1/charges", charge, timeout_s, how))

    async def verify(self, order_id: str, timeout_s: float) -> protocol.OrderAnswer:
        protocol.check_order_id(order_id)
        said = await self._calls.ask("GET", f"/v1/orders/{order_id}", timeout_s)
        return _answer(said, order_id)

    async def refund(self, refund: protocol.Refund, timeout_s: float) -> protocol.RefundAnswer:
        return to_refund(await self._move("/v1/refunds", refund, timeout_s, {}))

    async def _move(
        self,
        path: str,
        asked: protocol.Charge | protocol.Refund,
        timeout_s: float,
        how: Mapping[str, Any],
    ) -> protocol.OrderAnswer:
        """Ask the gateway to move money, which it does once for each idempotency key."""
        said = await self._calls.ask(
            "POST",
            path,
            timeout_s,
            body={
                "order_id": asked.order_id,
                "amount": asked.amount,
                "currency": asked.currency,
                **how,
            },
            headers={"Idempotency-Key": asked.idempotency_key},
        )
        return _answer(said, asked.order_id)

    async def webhook(
        self, delivery: protocol.Delivery, now_ms: int
    ) -> protocol.Hint | WebhookRefusal:
        return signed_hint(delivery, SIGNATURE_HEADER, self._secrets, now_ms, _hint)

    async def close(self) -> None:
        await self._calls.close()


def _hint(fields: Mapping[str, Any]) -> protocol.Hint:
    # Every event of this gateway is about an order.
    return protocol.Hint(fields["id"], fields["type"], protocol.check_order_id(fields["order_id"]))


def _answer(
    said: Said | protocol.Unknown | protocol.Unavailable, order_id: str
) -> protocol.OrderAnswer:
    """Return how this order stands by an answer; Unknown for fields of wrong types."""
    if not isinstance(said, Said):
        return said
    try:
        answer = _read(said.status, said.fields)
    except (KeyError, TypeError, ValueError):
        return protocol.Unknown(f"status {said.status}, and fields that cannot be read")
    # Money that moved for another order tells nothing about this one.
    about = said.fields.get("order_id", order_id)
    return answer if about == order_id else protocol.Unknown("an answer about another order")


def _read(status: int, fields: Mapping[str, Any]) -> protocol.OrderAnswer:
    match status, fields.get("status"):
        case 200, "captured":
            return _of_fields(protocol.Captured, fields)
        case 200, "refunded":
            return _of_fields(protocol.Refunded, fields)
        case 402, "declined":
            return protocol.Declined(fields["reason"])
        case 202, "pending":
            return protocol.Pending()
        case 404, None if fields["error"] == "NOT_FOUND":
            return protocol.NotFound()
        case ((400 | 401 | 409 | 422), None):
            return protocol.Refused(protocol.RefusedReason(fields["error"]))
        case _:
            return protocol.Unknown(f"status {status}, which is unknown here")


def _of_fields(answer: type[_Moved], fields: Mapping[str, Any]) -> _Moved:
    """Make an answer of fields that have our own names; KeyError where one is missing."""
    return answer(**{one.name: fields[one.name] for one in dataclasses.fields(answer)})


def open_mock(read: Environment) -> MockGateway:
    """Make the gateway from MOCK_GATEWAY_URL, _API_KEY, _WEBHOOK_SECRET, _OLD_WEBHOOK_SECRET.

    Without a secret in the settings it believes webhooks that are signed with a public secret, for
    it is a gateway to play with.
    """
    url = read(URL, base_url, _DEFAULT_URL)
    api_key = read.secret(API_KEY, header_text, "")
    secrets = secrets_of(read, WEBHOOK_SECRET, OLD_WEBHOOK_SECRET, _PUBLIC_SECRET.encode())
    return MockGateway(url, api_key, secrets)
