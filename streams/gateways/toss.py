"""Toss Payments, by its public contract: a charge confirms a payment that the buyer has begun.

The buyer's page begins a payment of our order at Toss, and gets a payment key. A charge confirms
this key with order id and amount, which Toss compares with those of the page. Toss looks payments
up by order id; idempotency keys go into a header.

Toss takes order ids of 6 to 64 letters, digits, dashes, underscores and equals signs. So each dot
of an id of ours is an equals sign at Toss, which our ids never have.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from infra.process.environment import Environment
from streams.gateways import protocol
from streams.gateways.answers import hint_in, refund_by, to_charge, to_refund, wrong_token
from streams.gateways.calls import HttpCalls, Said, within
from streams.gateways.settings import account_in
from streams.gateways.webhooks import (
    BODY_BYTES_MAX,
    HEADER_BYTES_MAX,
    SIGNATURES_MAX,
    Secrets,
    WebhookRefusal,
    only_header,
    refusal_of_signed,
)

NAME: Final = "toss"
SIGNATURE_HEADER: Final = b"tosspayments-webhook-signature"
TIME_HEADER: Final = b"tosspayments-webhook-transmission-time"
_DEFAULT_BASE: Final = "https://api.tosspayments.com"
_CURRENCY: Final = "KRW"
_ORDER_ID: Final = re.compile(r"[A-Za-z0-9_=-]{6,64}")
# At least one letter: a key without any might be a card number.
_PAYMENT_KEY: Final = re.compile(r"(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{1,128}")
_TOKENS: Final = {"payment_key": _PAYMENT_KEY}
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3}|\.\d{6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)
_SIGNATURE: Final = re.compile(rb"v1:([A-Za-z0-9+/]{43}=)")

# Toss names in Korean how the buyer paid.
_METHODS: Final = {
    "카드": "card",
    "가상계좌": "virtual_account",
    "간편결제": "easy_pay",
    "휴대폰": "mobile",
    "계좌이체": "transfer",
}
_NOT_ALLOWED: Final = frozenset(
    {"UNAUTHORIZED_KEY", "INVALID_API_KEY", "FORBIDDEN_REQUEST", "INCORRECT_BASIC_AUTH_FORMAT"}
)
_BAD_REQUESTS: Final = frozenset(
    {
        "INVALID_REQUEST",
        "NOT_FOUND_PAYMENT_SESSION",
        "UNAPPROVED_ORDER_ID",
        "NOT_CANCELABLE_PAYMENT",
        # From here on: faults of the shop's account at Toss, not of a card.
        "BELOW_MINIMUM_AMOUNT",
        "INVALID_UNREGISTERED_SUBMALL",
        "NOT_FOUND_TERMINAL_ID",
        "NOT_REGISTERED_BUSINESS",
    }
)
_DECLINES: Final = re.compile(
    r"(?:REJECT|EXCEED)_[A-Z0-9_]{1,48}"
    r"|INVALID_(?:REJECT|STOPPED|CARD|ACCOUNT|AUTHORIZE|PASSWORD)(?:_[A-Z0-9_]{1,48})?"
    r"|NOT_SUPPORTED_(?:INSTALLMENT|MONTHLY)_[A-Z0-9_]{1,48}"
    r"|NOT_AVAILABLE_(?:BANK|PAYMENT)|NOT_ALLOWED_POINT_USE|RESTRICTED_TRANSFER_ACCOUNT"
)
# Reasons that buyers are not told, since the finder of a card would learn from them.
_UNSAID: Final = frozenset({"FDS_ERROR", "INVALID_CARD_LOST_OR_STOLEN"})


class TossGateway:
    """Calls Toss; see `protocol.Gateway`."""

    name: Final = NAME

    def __init__(self, api_base: str, api_key: str, secrets: Secrets) -> None:
        # Toss's basic authentication: the key is the user name, and the password is empty.
        credentials = b64encode(f"{api_key}:".encode()).decode()
        self._calls = HttpCalls(api_base, {"Authorization": f"Basic {credentials}"})
        self._secrets = secrets

    def wrong_detail(
        self, method: str, parameters: Mapping[str, str]
    ) -> protocol.WrongDetail | None:
        # The buyer chose the method on Toss's page.
        del method
        return wrong_token(_TOKENS, parameters, "Toss")

    async def process(self, charge: protocol.Charge, timeout_s: float) -> protocol.ChargeAnswer:
        order_id = order_at_toss(charge.order_id)
        if order_id is None:
            return _NO_ORDER_THERE
        wrong = self.wrong_detail(charge.method, charge.parameters)
        if wrong is not None:
            return protocol.Refused(
                protocol.RefusedReason.BAD_REQUEST, f"{wrong.where}: {wrong.why}"
            )
        # Toss compares the amount with that of the buyer's page, but not the currency.
        if charge.currency != _CURRENCY:
            return protocol.Refused(
                protocol.RefusedReason.BAD_REQUEST, f"Toss takes {_CURRENCY} only"
            )
        said = await self._calls.ask(
            "POST",
            "/v1/payments/confirm",
            timeout_s,
            body={
                "paymentKey": charge.parameters["payment_key"],
                "orderId": order_id,
                "amount": charge.amount,
            },
            headers={"Idempotency-Key": charge.idempotency_key},
        )
        return to_charge(_answer(said, charge.order_id))

    async def verify(self, order_id: str, timeout_s: float) -> protocol.OrderAnswer:
        protocol.check_order_id(order_id)
        return _answer(await self._look_up(order_id, timeout_s), order_id)

    async def _look_up(
        self, order_id: str, timeout_s: float
    ) -> Said | protocol.Refused | protocol.Unknown | protocol.Unavailable:
        there = order_at_toss(order_id)
        if there is None:
            return _NO_ORDER_THERE
        return await self._calls.ask("GET", f"/v1/payments/orders/{there}", timeout_s)

    async def refund(self, refund: protocol.Refund, timeout_s: float) -> protocol.RefundAnswer:
        """Look the payment up, then cancel it; both calls share `timeout_s`."""
        return await within(timeout_s, lambda: self._refund(refund, timeout_s))

    async def _refund(self, refund: protocol.Refund, timeout_s: float) -> protocol.RefundAnswer:
        said = await self._look_up(refund.order_id, timeout_s)
        known = _refund_known(said, refund)
        if known is not None:
            return known
        cancelled = await self._calls.ask(
            "POST",
            f"/v1/payments/{refund.payment_id}/cancel",
            timeout_s,
            # Without an amount Toss gives back all. By the reason a repeat knows its own refund.
            body={"cancelReason": refund.idempotency_key},
            headers={"Idempotency-Key": refund.idempotency_key},
        )
        return to_refund(_answer(cancelled, refund.order_id))

    async def webhook(
        self, delivery: protocol.Delivery, now_ms: int
    ) -> protocol.Hint | WebhookRefusal:
        refusal = _refusal_of(delivery, self._secrets, now_ms)
        if refusal is not None:
            return refusal
        # Toss's id of the event is in a header that is not signed, so the body's hash stands for
        # it: the same event has the same body.
        event_id = sha256(delivery.body).hexdigest()
        return hint_in(
            delivery.body,
            lambda fields: protocol.Hint(
                event_id, fields["eventType"], _our_order(fields["data"]["orderId"])
            ),
        )

    async def close(self) -> None:
        await self._calls.close()


_NO_ORDER_THERE: Final = protocol.Refused(
    protocol.RefusedReason.BAD_REQUEST, "an order id that Toss does not take"
)


def order_at_toss(order_id: str) -> str | None:
    """Return Toss's id of an order of ours; None where Toss takes no such id."""
    there = order_id.replace(".", "=")
    return there if _ORDER_ID.fullmatch(there) else None


def _our_order(there: object) -> str | None:
    """Return our id of an order at Toss; None where Toss has no such ids."""
    if not isinstance(there, str) or not _ORDER_ID.fullmatch(there):
        return None
    return protocol.check_order_id(there.replace("=", "."))


def _answer(
    said: Said | protocol.Refused | protocol.Unknown | protocol.Unavailable, order_id: str
) -> protocol.OrderAnswer:
    """Return how this order stands by an answer; Unknown for fields of wrong types."""
    if not isinstance(said, Said):
        return said
    about = said.fields.get("orderId")
    if about is not None and about != order_at_toss(order_id):
        return protocol.Unknown("an answer about another order")
    try:
        if said.status == 200:
            return _payment(said.fields, order_id)
        return _failed(said.status, said.fields["code"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return protocol.Unknown(f"status {said.status}, and fields that cannot be read")


def _payment(fields: Mapping[str, Any], order_id: str) -> protocol.OrderAnswer:
    if fields["orderId"] != order_at_toss(order_id):
        return protocol.Unknown("a payment of no order")
    match fields["status"]:
        case "DONE" | "PARTIAL_CANCELED":
            return protocol.Captured(
                order_id=order_id,
                payment_id=fields["paymentKey"],
                # Without the part that a person may have given back at Toss.
                amount=fields["balanceAmount"],
                currency=fields["currency"],
                method=_METHODS.get(fields["method"], "other"),
                approved_at_ms=_ms(fields["approvedAt"]),
            )
        case "CANCELED":
            last = fields["cancels"][-1]
            if last["cancelStatus"] != "DONE":
                return protocol.Pending()
            return protocol.Refunded(
                order_id=order_id,
                payment_id=fields["paymentKey"],
                refund_id=last["transactionKey"],
                amount=fields["totalAmount"],
                currency=fields["currency"],
                refunded_at_ms=_ms(last["canceledAt"]),
            )
        case "WAITING_FOR_DEPOSIT":
            return protocol.Pending()
        # The buyer's page has begun the payment. Our call to confirm it has not arrived (yet).
        case "READY" | "IN_PROGRESS":
            return protocol.NotFound()
        case "ABORTED" | "EXPIRED" as ended:
            return protocol.Declined(str(ended))
        case _:
            return protocol.Unknown("a payment in an unknown state")


def _failed(
    status: int, code: str
) -> protocol.NotFound | protocol.Declined | protocol.Refused | protocol.Unknown:
    match status, code:
        case 404, "NOT_FOUND_PAYMENT":
            return protocol.NotFound()
        case 400, "ALREADY_PROCESSED_PAYMENT":
            return protocol.Refused(protocol.RefusedReason.ALREADY_CAPTURED)
        case ((400 | 403), "ALREADY_CANCELED_PAYMENT"):
            return protocol.Refused(protocol.RefusedReason.ALREADY_REFUNDED)
        case 400, "INVALID_IDEMPOTENCY_KEY":
            return protocol.Refused(protocol.RefusedReason.KEY_REUSED)
        case ((400 | 401 | 403), _) if code in _NOT_ALLOWED:
            return protocol.Refused(protocol.RefusedReason.NOT_ALLOWED, code)
        case ((400 | 403 | 404), _) if code in _BAD_REQUESTS:
            return protocol.Refused(protocol.RefusedReason.BAD_REQUEST, code)
        case ((400 | 403), _) if code in _UNSAID:
            return protocol.Declined("CARD_DECLINED")
        case ((400 | 403), _) if _DECLINES.fullmatch(code):
            return protocol.Declined(code)
        # PROVIDER_ERROR among them. The caller looks the order up before it does anything else.
        case _:
            return protocol.Unknown(f"status {status}, which is unknown here")


def _refund_known(
    said: Said | protocol.Refused | protocol.Unknown | protocol.Unavailable,
    refund: protocol.Refund,
) -> protocol.RefundAnswer | None:
    """Return the answer to a refund by its order's payment; None where it has yet to be made."""
    if not _PAYMENT_KEY.fullmatch(refund.payment_id):
        return protocol.Refused(protocol.RefusedReason.BAD_REQUEST, "no payment key of Toss")
    standing = _answer(said, refund.order_id)
    if isinstance(standing, protocol.Refunded):
        assert isinstance(said, Said), "a refund was read from it"
        if said.fields["cancels"][-1].get("cancelReason") == refund.idempotency_key:
            return standing
    return refund_by(standing, refund)


def _ms(text: str) -> int:
    """Return the Unix ms of a time with its zone; ValueError for any other text."""
    if not _TIME.fullmatch(text):
        raise ValueError("no time with its zone")
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _refusal_of(
    delivery: protocol.Delivery, secrets: Secrets, now_ms: int
) -> WebhookRefusal | None:
    """Return why a webhook is not believed: HMAC-SHA256 over `<raw body>:<time>`, in base64."""
    if len(delivery.body) > BODY_BYTES_MAX:
        return WebhookRefusal.TOO_LARGE
    signature = only_header(SIGNATURE_HEADER, delivery.headers)
    if isinstance(signature, WebhookRefusal):
        return signature
    sent = only_header(TIME_HEADER, delivery.headers)
    if isinstance(sent, WebhookRefusal):
        return sent
    try:
        signed_ms = _ms(sent.decode("ascii"))
    except ValueError:
        return WebhookRefusal.MALFORMED_SIGNATURE
    signatures = _signatures(signature)
    if signatures is None:
        return WebhookRefusal.MALFORMED_SIGNATURE
    return refusal_of_signed((delivery.body, b":", sent), signatures, signed_ms, secrets, now_ms)


def _signatures(value: bytes) -> list[bytes] | None:
    """Return the signatures of a header, in lower-case hex; None where it is malformed.

    value: `v1:<base64>`, or several of these separated by commas.
    """
    parts = [
        _SIGNATURE.fullmatch(part.strip(b" \t")) for part in value[:HEADER_BYTES_MAX].split(b",")
    ]
    if len(value) > HEADER_BYTES_MAX or len(parts) > SIGNATURES_MAX:
        return None
    found = [b64decode(part[1]).hex().encode() for part in parts if part is not None]
    return found if len(found) == len(parts) else None


def open_toss(read: Environment) -> TossGateway:
    """Make the gateway from TOSS_API_KEY, _API_BASE, _WEBHOOK_SECRET, _OLD_WEBHOOK_SECRET."""
    return TossGateway(*account_in(read, "TOSS", _DEFAULT_BASE))
