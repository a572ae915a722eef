"""The gateway `toss` against a local server that speaks its public contract; not the real one."""

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gateways.running import PATIENCE_S
from support.gateways.serving import served
from support.gateways.toss_server import KEY, PAID_AT_MS, TossFault, TossServer

from infra.process.environment import BadSetting, Environment
from state.domain.keys import Order
from streams.gateways.protocol import (
    Captured,
    Charge,
    Declined,
    Delivery,
    Hint,
    NotFound,
    Pending,
    Refund,
    Refunded,
    Refused,
    RefusedReason,
    Unknown,
)
from streams.gateways.toss import TossGateway, open_toss, order_at_toss
from streams.gateways.webhooks import BODY_BYTES_MAX, HEADER_BYTES_MAX, WebhookRefusal

SECRET = "the secret of these tests"
OLD_SECRET = "the secret before that one"
VARIABLES = {"TOSS_API_KEY": KEY, "TOSS_WEBHOOK_SECRET": SECRET}
ORDER = "res-1.1.0"
THERE = "res-1=1=0"
Test = Callable[[TossGateway, TossServer], Awaitable[None]]


def run(test: Test, **variables: str) -> None:
    async def whole() -> None:
        server = TossServer()
        server.begin("pay_1", THERE, 15_000)
        async with served(server.application()) as url:
            gateway = open_toss(Environment({**VARIABLES, "TOSS_API_BASE": url, **variables}))
            try:
                await test(gateway, server)
            finally:
                await gateway.close()

    asyncio.run(whole())


def charge(key: str = "pay_1", order_id: str = ORDER, **other: Any) -> Charge:
    fields: dict[str, Any] = {
        "amount": 15_000,
        "currency": "KRW",
        "idempotency_key": f"pay:{order_id}",
        "method": "card",
        "parameters": {"payment_key": key},
        **other,
    }
    return Charge(order_id=order_id, **fields)


def refund(**other: Any) -> Refund:
    fields: dict[str, Any] = {
        "payment_id": "pay_1",
        "amount": 15_000,
        "currency": "KRW",
        "idempotency_key": f"refund:{ORDER}",
        **other,
    }
    return Refund(order_id=ORDER, **fields)


CAPTURED = Captured(
    order_id=ORDER,
    payment_id="pay_1",
    amount=15_000,
    currency="KRW",
    method="card",
    approved_at_ms=PAID_AT_MS,
)
REFUNDED = Refunded(
    order_id=ORDER,
    payment_id="pay_1",
    refund_id="cancel_1",
    amount=15_000,
    currency="KRW",
    refunded_at_ms=PAID_AT_MS + 60_000,
)


def test_a_charge_is_captured_found_and_given_back() -> None:
    async def test(gateway: TossGateway, server: TossServer) -> None:
        # What a buyer has begun is not charged before it is confirmed.
        assert await gateway.verify(ORDER, PATIENCE_S) == NotFound()
        assert await gateway.verify("res-2.1.0", PATIENCE_S) == NotFound()
        assert await gateway.process(charge(), PATIENCE_S) == CAPTURED
        path, fields, head = server.asked[-1]
        assert path == "/v1/payments/confirm"
        assert fields == {"paymentKey": "pay_1", "orderId": THERE, "amount": 15_000}
        assert head["Idempotency-Key"] == f"pay:{ORDER}"
        assert await gateway.process(charge(), PATIENCE_S) == CAPTURED
        assert await gateway.verify(ORDER, PATIENCE_S) == CAPTURED
        assert await gateway.refund(refund(), PATIENCE_S) == REFUNDED
        assert await gateway.refund(refund(), PATIENCE_S) == REFUNDED
        assert await gateway.verify(ORDER, PATIENCE_S) == REFUNDED

    run(test)


def test_f53_an_answer_that_is_lost_is_found_by_the_order() -> None:
    async def test(gateway: TossGateway, server: TossServer) -> None:
        server.lost = 1
        assert isinstance(await gateway.process(charge(), PATIENCE_S), Unknown)
        assert await gateway.verify(ORDER, PATIENCE_S) == CAPTURED
        assert await gateway.process(charge(), PATIENCE_S) == CAPTURED

    run(test)


def test_what_may_not_be_is_refused_by_name() -> None:
    async def test(gateway: TossGateway, server: TossServer) -> None:
        assert await gateway.refund(refund(), PATIENCE_S) == NotFound()
        nothing = await gateway.process(charge("pay_none"), PATIENCE_S)
        assert nothing == Refused(RefusedReason.BAD_REQUEST, "NOT_FOUND_PAYMENT_SESSION")
        other = charge(amount=1, idempotency_key="own")
        assert await gateway.process(other, PATIENCE_S) == Refused(
            RefusedReason.BAD_REQUEST, "INVALID_REQUEST"
        )
        assert await gateway.process(charge(idempotency_key="k"), PATIENCE_S) == CAPTURED
        reused = charge(amount=1, idempotency_key="k")
        assert await gateway.process(reused, PATIENCE_S) == Refused(RefusedReason.KEY_REUSED)
        again = await gateway.process(charge(idempotency_key="another"), PATIENCE_S)
        assert again == Refused(RefusedReason.ALREADY_CAPTURED)
        part = await gateway.refund(refund(amount=14_999), PATIENCE_S)
        assert part == Refused(RefusedReason.PARTIAL_REFUND)
        for payment_id in ("pay_2", "../x"):
            of_another = await gateway.refund(refund(payment_id=payment_id), PATIENCE_S)
            assert isinstance(of_another, Refused)
        assert await gateway.refund(refund(), PATIENCE_S) == REFUNDED
        again_back = await gateway.refund(refund(idempotency_key="again"), PATIENCE_S)
        assert again_back == Refused(RefusedReason.ALREADY_REFUNDED)

    run(test)


@pytest.mark.parametrize(
    ("fault", "answer", "found"),
    [
        (TossFault(403, "REJECT_CARD_PAYMENT"), Declined("REJECT_CARD_PAYMENT"), Declined),
        *(
            (TossFault(400, code), Declined(code), Declined)
            for code in (
                "INVALID_STOPPED_CARD",
                "INVALID_REJECT_CARD",
                "INVALID_CARD_EXPIRATION",
                "INVALID_CARD_NUMBER",
                "INVALID_CARD_INSTALLMENT_PLAN",
                "EXCEED_MAX_DAILY_PAYMENT_COUNT",
                "NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT",
                "NOT_AVAILABLE_PAYMENT",
            )
        ),
        (
            TossFault(400, "INVALID_CARD_LOST_OR_STOLEN"),
            Declined("CARD_DECLINED"),
            Declined,
        ),
        (TossFault(403, "INVALID_PASSWORD"), Declined("INVALID_PASSWORD"), Declined),
        (
            TossFault(400, "PROVIDER_ERROR"),
            Unknown("status 400, which is unknown here"),
            Declined,
        ),
        (TossFault(500, "UNKNOWN_PAYMENT_ERROR"), Unknown("status 500"), NotFound),
    ],
)
def test_f54_a_refusal_says_whether_something_was_done(
    fault: TossFault, answer: object, found: type[Any]
) -> None:
    async def test(gateway: TossGateway, server: TossServer) -> None:
        server.refuses = fault
        assert await gateway.process(charge(), PATIENCE_S) == answer
        assert type(await gateway.verify(ORDER, PATIENCE_S)) is found

    run(test)


def test_what_a_buyer_has_still_to_pay_in_is_pending() -> None:
    async def test(gateway: TossGateway, server: TossServer) -> None:
        server.begin("pay_2", "res-2=1=0", 15_000, method="가상계좌")
        asked = charge("pay_2", "res-2.1.0")
        assert await gateway.process(asked, PATIENCE_S) == Pending()
        assert await gateway.verify("res-2.1.0", PATIENCE_S) == Pending()
        server.payments["pay_2"]["status"] = "DONE"
        server.payments["pay_2"]["approvedAt"] = "2026-11-27T00:00:00.250Z"
        found = await gateway.verify("res-2.1.0", PATIENCE_S)
        assert isinstance(found, Captured)
        assert (found.method, found.approved_at_ms) == ("virtual_account", PAID_AT_MS + 250)

    run(test)


@pytest.mark.parametrize(
    "changed",
    [
        {"orderId": "res-2=1=0"},
        {"orderId": None},
        {"totalAmount": "15000", "balanceAmount": "15000"},
        {"balanceAmount": True},
        {"approvedAt": "2026-11-27T09:00:00"},
        {"approvedAt": "2026-13-27T09:00:00Z"},
        {"approvedAt": None},
        {"currency": "WON"},
        {"status": "NEW_WORD"},
        {"status": "CANCELED"},
        {"status": "CANCELED", "cancels": [{}]},
        {"method": []},
    ],
)
def test_b58_a_payment_of_another_order_or_of_no_form_is_not_believed(
    changed: dict[str, Any],
) -> None:
    async def test(gateway: TossGateway, server: TossServer) -> None:
        await gateway.process(charge(), PATIENCE_S)
        server.changed = changed
        assert isinstance(await gateway.verify(ORDER, PATIENCE_S), Unknown)

    run(test)


@pytest.mark.parametrize(
    "other",
    [
        {"currency": "EUR"},
        {"parameters": {}},
        {"parameters": {"payment_key": "pay_1", "amount": "1"}},
        {"parameters": {"payment_key": "../x"}},
        {"order_id": "x.1"},
        {"order_id": "with:colon.1.1"},
        {"order_id": "x" * 61 + ".1.1"},
    ],
)
def test_b57_what_toss_would_not_compare_is_not_sent(other: dict[str, Any]) -> None:
    async def test(gateway: TossGateway, server: TossServer) -> None:
        answer = await gateway.process(charge(**other), PATIENCE_S)
        assert isinstance(answer, Refused)
        assert answer.reason is RefusedReason.BAD_REQUEST
        assert server.asked == []

    run(test)


def test_who_lacks_the_key_is_refused_and_nothing_shows_it() -> None:
    async def test(gateway: TossGateway, _server: TossServer) -> None:
        refused = Refused(RefusedReason.NOT_ALLOWED, "UNAUTHORIZED_KEY")
        answers = (
            await gateway.process(charge(), PATIENCE_S),
            await gateway.verify(ORDER, PATIENCE_S),
            await gateway.refund(refund(), PATIENCE_S),
        )
        assert answers == (refused, refused, refused)
        assert "geheim" not in repr([answers, gateway, vars(gateway)])

    run(test, TOSS_API_KEY="test_sk_geheim")


@given(
    st.from_regex(r"[A-Za-z0-9_.-]{1,40}", fullmatch=True), st.integers(0, 9), st.integers(0, 511)
)
def test_no_two_orders_are_one_at_toss(reservation_id: str, epoch: int, partition: int) -> None:
    order = Order(reservation_id, epoch, partition).id
    there = order_at_toss(order)
    assert there is None or (there.replace("=", ".") == order and "." not in there)
    assert (there is None) == (len(order) < 6)


# --- webhooks ------------------------------------------------------------------------------------

SENT = b"2026-11-27T09:00:00+09:00"


def signed(body: bytes, secret: str = SECRET, sent: bytes = SENT) -> bytes:
    digest = hmac.new(secret.encode(), body + b":" + sent, sha256).digest()
    return b"v1:" + b64encode(digest)


def delivery(body: bytes, signature: bytes | None = None, sent: bytes = SENT) -> Delivery:
    stated = signed(body, sent=sent) if signature is None else signature
    headers = [
        (b"TossPayments-Webhook-Signature", stated),
        (b"tosspayments-webhook-transmission-time", sent),
        (b"tosspayments-webhook-transmission-id", b"not signed"),
    ]
    return Delivery(headers, body)


def judged(given: Delivery, now_ms: int = PAID_AT_MS, **variables: str) -> Hint | WebhookRefusal:
    gateway = open_toss(Environment({**VARIABLES, **variables}))
    return asyncio.run(gateway.webhook(given, now_ms))


def event(order: object = THERE) -> bytes:
    about = {"orderId": order, "status": "DONE"}
    return json.dumps({"eventType": "PAYMENT_STATUS_CHANGED", "data": about}).encode()


def test_the_same_event_has_the_same_id_whatever_its_headers_say() -> None:
    hint = judged(delivery(event()))
    assert hint == Hint(sha256(event()).hexdigest(), "PAYMENT_STATUS_CHANGED", ORDER)
    later = b"2026-11-27T09:01:00+09:00"
    assert judged(delivery(event(), sent=later)) == hint
    theirs = judged(delivery(event("ORDER 10")))
    assert isinstance(theirs, Hint)
    assert theirs.order_id is None


def test_two_secrets_hold_while_they_change() -> None:
    old = signed(event(), OLD_SECRET)
    assert judged(delivery(event(), old)) is WebhookRefusal.WRONG_SIGNATURE
    assert isinstance(judged(delivery(event(), old), TOSS_OLD_WEBHOOK_SECRET=OLD_SECRET), Hint)
    assert isinstance(judged(delivery(event(), old + b", " + signed(event()))), Hint)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (delivery(event(), signed(event() + b" ")), WebhookRefusal.WRONG_SIGNATURE),
        (delivery(event(), b"v1:x"), WebhookRefusal.MALFORMED_SIGNATURE),
        (delivery(event(), b"v1:"), WebhookRefusal.MALFORMED_SIGNATURE),
        (delivery(event(), signed(event()) + b","), WebhookRefusal.MALFORMED_SIGNATURE),
        (
            delivery(event(), b",".join([signed(event())] * 5)),
            WebhookRefusal.MALFORMED_SIGNATURE,
        ),
        (delivery(event(), b" " * (HEADER_BYTES_MAX + 1)), WebhookRefusal.MALFORMED_SIGNATURE),
        (delivery(event(), sent=b"2026-11-27T09:00:00"), WebhookRefusal.MALFORMED_SIGNATURE),
        (delivery(event(), sent=b"\xff"), WebhookRefusal.MALFORMED_SIGNATURE),
        (delivery(event(), sent=b"2026-02-30T09:00:00Z"), WebhookRefusal.MALFORMED_SIGNATURE),
        (delivery(event(), sent=b"0001-01-01T00:00:00+09:00"), WebhookRefusal.NOT_NOW),
        (delivery(event(), sent=b"2026-11-27T09:05:01+09:00"), WebhookRefusal.NOT_NOW),
        (delivery(event(), sent=b"2026-11-27T08:54:59+09:00"), WebhookRefusal.NOT_NOW),
        (delivery(b" " * (BODY_BYTES_MAX + 1)), WebhookRefusal.TOO_LARGE),
        (Delivery([], event()), WebhookRefusal.NO_SIGNATURE),
        (Delivery(delivery(event()).headers[:1], event()), WebhookRefusal.NO_SIGNATURE),
        (
            Delivery([*delivery(event()).headers] * 2, event()),
            WebhookRefusal.MANY_SIGNATURE_HEADERS,
        ),
        (delivery(b"\xff"), WebhookRefusal.BAD_BODY),
        (delivery(b"{}"), WebhookRefusal.BAD_BODY),
        (delivery(b'{"eventType": "a b", "data": {"orderId": "x"}}'), WebhookRefusal.BAD_BODY),
        (delivery(b'{"eventType": "a", "data": []}'), WebhookRefusal.BAD_BODY),
    ],
)
def test_b69_nothing_else_is_believed(given: Delivery, refusal: WebhookRefusal) -> None:
    assert judged(given) is refusal


@pytest.mark.parametrize(
    "variables",
    [
        {"TOSS_API_KEY": ""},
        {"TOSS_WEBHOOK_SECRET": "geheim"},
        {"TOSS_OLD_WEBHOOK_SECRET": "geheim"},
        {"TOSS_API_BASE": "http://toss.example"},
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(variables: dict[str, str]) -> None:
    read = Environment({**VARIABLES, **variables})
    open_toss(read)
    with pytest.raises(BadSetting, match=next(iter(variables))) as raised:
        read.check()
    assert "geheim" not in str(raised.value)
