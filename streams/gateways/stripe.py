"""Stripe, through its official package (extra `stripe`), as a `protocol.Gateway`.

A charge takes two calls: the first makes a PaymentIntent, the second confirms it. To make a
PaymentIntent moves no money. Its idempotency key is made of the order id, so an order has one
PaymentIntent, under whatever keys it is charged; and a PaymentIntent captures once at most.

`verify` lists the charges whose `transfer_group` is the order. Stripe's search by metadata would
find a charge a minute late, and Stripe forgets idempotency keys after a day.

The package makes requests and reads objects. Connections, their bounds and the judgement of
statuses are ours (`calls`). So the package gets nothing but whole JSON objects of bounded size.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import stripe

from infra.process.environment import Environment
from streams.gateways import stripe_objects as objects
from streams.gateways.answers import NONE_TO_THIS, signed_hint, wrong_token
from streams.gateways.calls import HttpCalls, Said, within
from streams.gateways.protocol import (
    Charge,
    ChargeAnswer,
    Declined,
    Delivery,
    Hint,
    OrderAnswer,
    Pending,
    Refund,
    RefundAnswer,
    Refused,
    RefusedReason,
    Unavailable,
    Unknown,
    WrongDetail,
    check_order_id,
)
from streams.gateways.settings import account_in
from streams.gateways.webhooks import Secrets, WebhookRefusal

# Otherwise the package keeps an id of this machine in the user's folder, and sends it to Stripe.
stripe.enable_telemetry = False

NAME: Final = "stripe"
SIGNATURE_HEADER: Final = b"stripe-signature"
_DEFAULT_BASE: Final = "https://api.stripe.com"
_CHARGES_MAX: Final = 100
# Stripe's page gives the buyer's browser one of these tokens for a card; we never see its number.
_TOKENS: Final = {
    "payment_method": re.compile(r"pm_[A-Za-z0-9_]{1,250}"),
    "confirmation_token": re.compile(r"ctoken_[A-Za-z0-9_]{1,250}"),
}

Failure = Declined | Pending | Refused | Unknown | Unavailable


class _NoAnswer(Exception):
    """Carries the lack of an answer from `_Connections` through the package to `_fields`."""

    def __init__(self, meaning: Unknown | Unavailable) -> None:
        super().__init__(meaning.why)
        self.meaning = meaning


class _Connections(stripe.HTTPClient):
    """Makes the package's requests through our `HttpCalls`, and returns only what those accept."""

    name = "seatstream"

    def __init__(self, calls: HttpCalls) -> None:
        super().__init__()
        self._calls = calls

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        data = None if post_data is None else str(post_data).encode()
        said = await self._calls.exchange(method.upper(), url, data, headers)
        if not isinstance(said, Said):
            raise _NoAnswer(said)
        # Without headers: the package would put some of them into messages for people.
        return said.content, said.status, {}


class StripeGateway:
    """Calls Stripe; see `protocol.Gateway`."""

    name: Final = NAME

    def __init__(self, api_base: str, api_key: str, secrets: Secrets) -> None:
        self._calls = HttpCalls(api_base, {})
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,
            http_client=_Connections(self._calls),
        )
        self._secrets = secrets

    def wrong_detail(self, method: str, parameters: Mapping[str, str]) -> WrongDetail | None:
        # Which methods exist is for Stripe to say, and Stripe adds some from time to time.
        del method
        return wrong_token(_TOKENS, parameters, "Stripe")

    async def process(self, charge: Charge, timeout_s: float) -> ChargeAnswer:
        wrong = self.wrong_detail(charge.method, charge.parameters)
        if wrong is not None:
            return Refused(RefusedReason.BAD_REQUEST, f"{wrong.where}: {wrong.why}")
        [token] = charge.parameters.items()
        if charge.currency in objects.OTHER_UNITS:
            return Refused(
                RefusedReason.BAD_REQUEST, f"Stripe counts {charge.currency} in another unit"
            )
        return await within(timeout_s, lambda: self._process(charge, token))

    async def _process(self, charge: Charge, token: tuple[str, str]) -> ChargeAnswer:
        intents = self._client.v1.payment_intents
        made = await _fields(
            lambda: intents.create_async(
                {
                    "amount": charge.amount,
                    "currency": charge.currency.lower(),
                    "confirmation_method": "manual",
                    "allowed_payment_method_types": [charge.method],
                    "transfer_group": objects.group_of(charge.order_id),
                    "metadata": {objects.ORDER_FIELD: charge.order_id},
                },
                {"idempotency_key": f"order:{charge.order_id}"},
            ),
            charge.order_id,
        )
        if not isinstance(made, Mapping):
            return made
        intent_id = objects.created(made, charge.order_id, charge.amount, charge.currency)
        if isinstance(intent_id, Unknown):
            return intent_id
        name, value = token
        params: Any = {
            name: value,
            # A card that needs a further action by the buyer is declined: no page could show it.
            "error_on_requires_action": True,
            "expand": ["latest_charge"],
        }
        confirmed = await _fields(
            lambda: intents.confirm_async(
                intent_id,
                params,
                {"idempotency_key": charge.idempotency_key},
            ),
            charge.order_id,
        )
        if not isinstance(confirmed, Mapping):
            return confirmed
        return objects.confirmed(confirmed, charge.order_id)

    async def verify(self, order_id: str, timeout_s: float) -> OrderAnswer:
        check_order_id(order_id)
        return await within(timeout_s, lambda: self._verify(order_id))

    async def _verify(self, order_id: str) -> OrderAnswer:
        listed = await self._charges(order_id)
        return objects.standing(listed, order_id) if isinstance(listed, Mapping) else listed

    async def _charges(self, order_id: str) -> Mapping[str, Any] | Refused | Unknown | Unavailable:
        listed = await _fields(
            lambda: self._client.v1.charges.list_async(
                {
                    "transfer_group": objects.group_of(order_id),
                    "limit": _CHARGES_MAX,
                    "expand": ["data.refunds"],
                }
            ),
            order_id,
        )
        return _of_no_charge(listed)

    async def refund(self, refund: Refund, timeout_s: float) -> RefundAnswer:
        return await within(timeout_s, lambda: self._refund(refund))

    async def _refund(self, refund: Refund) -> RefundAnswer:
        listed = await self._charges(refund.order_id)
        if not isinstance(listed, Mapping):
            return listed
        known = objects.refund_known(listed, refund)
        if known is not None:
            return known
        made = _of_no_charge(
            await _fields(
                lambda: self._client.v1.refunds.create_async(
                    {
                        # Without an amount Stripe gives back all that is left.
                        "payment_intent": refund.payment_id,
                        "metadata": {
                            objects.ORDER_FIELD: refund.order_id,
                            objects.KEY_FIELD: refund.idempotency_key,
                        },
                    },
                    {"idempotency_key": refund.idempotency_key},
                ),
                refund.order_id,
            )
        )
        return objects.given_back(made, refund) if isinstance(made, Mapping) else made

    async def webhook(self, delivery: Delivery, now_ms: int) -> Hint | WebhookRefusal:
        """Judge a webhook, without the package, whose check knows one secret and no bounds."""
        return signed_hint(delivery, SIGNATURE_HEADER, self._secrets, now_ms, objects.hint_of)

    async def close(self) -> None:
        await self._calls.close()


async def _fields(
    call: Callable[[], Awaitable[Any]], order_id: str
) -> Mapping[str, Any] | Failure:
    """Make a call; return the object that came back as JSON, or what its lack means."""
    try:
        fields: Mapping[str, Any] = (await call()).to_dict()
    except _NoAnswer as none:
        return none.meaning
    except stripe.StripeError as error:
        body = error.json_body
        said = body.get("error") if isinstance(body, Mapping) else None
        return objects.failed(error.http_status or 0, said, order_id)
    except Exception as error:  # noqa: BLE001 (whatever an answer makes the package raise)
        # Without the error's text, which may repeat what was sent.
        return Unknown(f"an answer that Stripe's package cannot read: {type(error).__name__}")
    return fields


def _of_no_charge(
    said: Mapping[str, Any] | Failure,
) -> Mapping[str, Any] | Refused | Unknown | Unavailable:
    """Return an answer to a look-up or a refund; Unknown where only a charge can have it."""
    if isinstance(said, Declined | Pending):
        return NONE_TO_THIS
    return said


def open_stripe(read: Environment) -> StripeGateway:
    """Make the gateway from STRIPE_API_KEY, _API_BASE, _WEBHOOK_SECRET, _OLD_WEBHOOK_SECRET."""
    # At the level DEBUG the package logs all that it sends.
    logging.getLogger("stripe").disabled = True
    read("STRIPE_LOG", _no_log, None)
    return StripeGateway(*account_in(read, "STRIPE", _DEFAULT_BASE))


def _no_log(_text: str) -> None:
    raise ValueError("unset it: Stripe's package would print all that is sent")
