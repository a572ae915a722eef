"""The gateway `stripe` against a local server that speaks Stripe's public contract.

The real Stripe was not reached: what its server does otherwise than its reference says, nobody has
seen here.
"""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from stripe import _telemetry_id as telemetry
from support.gateways.running import PATIENCE_S
from support.gateways.serving import served
from support.gateways.stripe_server import (
    BROKEN,
    CARD,
    DECLINED,
    KEY,
    NEEDS_BUYER,
    NOW_S,
    SLOW_BANK,
    STOLEN,
    StripeServer,
)

from infra.process.environment import BadSetting, Environment
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
from streams.gateways.stripe import StripeGateway, open_stripe
from streams.gateways.webhooks import BODY_BYTES_MAX, WebhookRefusal

SECRET = "whsec_of_these_tests"
OLD_SECRET = "whsec_before_that_one"
VARIABLES = {"STRIPE_API_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET}
ORDER = "res-1.1.0"
Test = Callable[[StripeGateway, StripeServer], Awaitable[None]]


def run(test: Test, **variables: str) -> None:
    async def whole() -> None:
        server = StripeServer()
        async with served(server.application()) as url:
            gateway = open_stripe(Environment({**VARIABLES, "STRIPE_API_BASE": url, **variables}))
            try:
                await test(gateway, server)
            finally:
                await gateway.close()

    asyncio.run(whole())


def charge(token: str = CARD, order_id: str = ORDER, **other: Any) -> Charge:
    fields: dict[str, Any] = {
        "amount": 1250,
        "currency": "EUR",
        "idempotency_key": f"pay:{order_id}",
        "method": "card",
        "parameters": {"payment_method": token},
        **other,
    }
    return Charge(order_id=order_id, **fields)


def refund(order_id: str = ORDER, **other: Any) -> Refund:
    fields: dict[str, Any] = {
        "payment_id": "pi_1",
        "amount": 1250,
        "currency": "EUR",
        "idempotency_key": f"refund:{order_id}",
        **other,
    }
    return Refund(order_id=order_id, **fields)


CAPTURED = Captured(
    order_id=ORDER,
    payment_id="pi_1",
    amount=1250,
    currency="EUR",
    method="card",
    approved_at_ms=NOW_S * 1000,
)
REFUNDED = Refunded(
    order_id=ORDER,
    payment_id="pi_1",
    refund_id="re_1",
    amount=1250,
    currency="EUR",
    refunded_at_ms=(NOW_S + 60) * 1000,
)


def test_a_charge_is_captured_found_and_given_back() -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        assert await gateway.verify(ORDER, PATIENCE_S) == NotFound()
        assert await gateway.process(charge(), PATIENCE_S) == CAPTURED
        assert CAPTURED.pays(charge())
        assert await gateway.verify(ORDER, PATIENCE_S) == CAPTURED
        assert await gateway.refund(refund(), PATIENCE_S) == REFUNDED
        assert await gateway.refund(refund(), PATIENCE_S) == REFUNDED
        assert await gateway.verify(ORDER, PATIENCE_S) == REFUNDED
        assert len(server.charges) == len(server.refunds) == 1

    run(test)


def test_what_is_sent_is_what_the_contract_asks_for() -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        token = {"confirmation_token": "ctoken_visa"}
        assert await gateway.process(charge(parameters=token), PATIENCE_S) == CAPTURED
        (made, form, head), (confirmed, then, head_then) = server.asked
        assert (made, confirmed) == ("/v1/payment_intents", "/v1/payment_intents/pi_1/confirm")
        assert form == {
            "amount": "1250",
            "currency": "eur",
            "confirmation_method": "manual",
            "allowed_payment_method_types": ["card"],
            "transfer_group": f"seatstream-{ORDER}",
            "metadata": {"seatstream_order": ORDER},
        }
        assert then == {
            "confirmation_token": "ctoken_visa",
            "error_on_requires_action": "true",
            "expand": ["latest_charge"],
        }
        keys = [headers["Idempotency-Key"] for headers in (head, head_then)]
        assert keys == [f"order:{ORDER}", f"pay:{ORDER}"]
        # What its objects look like goes with the package's version.
        assert head["Stripe-Version"] == "2026-10-28.endive"

    run(test)


def test_f52_fifty_at_once_are_one_charge() -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        same = [gateway.process(charge(), PATIENCE_S) for _ in range(25)]
        own = [
            gateway.process(charge(idempotency_key=f"own-{number}"), PATIENCE_S)
            for number in range(25)
        ]
        answers = await asyncio.gather(*same, *own)
        refused = Refused(RefusedReason.ALREADY_CAPTURED)
        assert set(answers) == {CAPTURED, refused}
        assert len(server.charges) == 1

    run(test)


@pytest.mark.parametrize("ending", ["/payment_intents", "/confirm"])
def test_f53_an_answer_that_is_lost_is_found_by_the_order(ending: str) -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        server.lost[ending] = 1
        assert isinstance(await gateway.process(charge(), PATIENCE_S), Unknown)
        is_charged = ending == "/confirm"
        found = await gateway.verify(ORDER, PATIENCE_S)
        assert found == (CAPTURED if is_charged else NotFound())
        assert await gateway.process(charge(), PATIENCE_S) == CAPTURED
        assert len(server.charges) == 1

    run(test)


def test_f53_an_error_that_stripe_repeats_for_ever_is_settled_by_the_order() -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        for _ in range(2):
            assert isinstance(await gateway.process(charge(BROKEN), PATIENCE_S), Unknown)
        assert await gateway.verify(ORDER, PATIENCE_S) == CAPTURED
        assert len(server.charges) == 1

    run(test)


def test_what_happened_is_found_after_stripe_has_forgotten_its_keys() -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        await gateway.process(charge(), PATIENCE_S)
        server.forget_keys()
        assert await gateway.verify(ORDER, PATIENCE_S) == CAPTURED
        assert await gateway.refund(refund(), PATIENCE_S) == REFUNDED
        server.forget_keys()
        assert await gateway.refund(refund(), PATIENCE_S) == REFUNDED
        assert await gateway.verify(ORDER, PATIENCE_S) == REFUNDED
        assert len(server.refunds) == 1

    run(test)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (DECLINED, "INSUFFICIENT_FUNDS"),
        # Who stole it is not told that it is known.
        (STOLEN, "CARD_DECLINED"),
        (NEEDS_BUYER, "AUTHENTICATION_REQUIRED"),
    ],
)
def test_a_card_is_declined_and_another_one_may_pay(token: str, reason: str) -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        assert await gateway.process(charge(token), PATIENCE_S) == Declined(reason)
        assert await gateway.process(charge(token), PATIENCE_S) == Declined(reason)
        found = await gateway.verify(ORDER, PATIENCE_S)
        # Only the bank's decline is an attempt of which Stripe keeps a charge.
        assert found == (NotFound() if token == NEEDS_BUYER else Declined("CARD_DECLINED"))
        again = charge(idempotency_key="another")
        assert await gateway.process(again, PATIENCE_S) == CAPTURED
        assert await gateway.verify(ORDER, PATIENCE_S) == CAPTURED
        assert len(server.intents) == 1

    run(test)


@pytest.mark.parametrize("ends", ["succeeded", "failed"])
def test_what_a_bank_has_not_decided_is_pending_until_it_has(ends: str) -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        assert await gateway.process(charge(SLOW_BANK), PATIENCE_S) == Pending()
        assert await gateway.verify(ORDER, PATIENCE_S) == Pending()
        another = charge(idempotency_key="another")
        assert await gateway.process(another, PATIENCE_S) == Pending()
        assert await gateway.refund(refund(), PATIENCE_S) == Pending()
        server.settle(ends)
        found = await gateway.verify(ORDER, PATIENCE_S)
        assert found == (CAPTURED if ends == "succeeded" else Declined("CARD_DECLINED"))

    run(test)


def test_what_may_not_be_is_refused_by_name() -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        assert await gateway.refund(refund(), PATIENCE_S) == NotFound()
        missing = await gateway.process(charge("pm_none", "order-x.1.0"), PATIENCE_S)
        assert missing == Refused(RefusedReason.BAD_REQUEST, "resource_missing: payment_method")
        too_much = charge(order_id="order-y.1.0", amount=100_000_000)
        assert await gateway.process(too_much, PATIENCE_S) == Refused(
            RefusedReason.BAD_REQUEST, "amount_too_large: amount"
        )
        bought = await gateway.process(charge(), PATIENCE_S)
        assert isinstance(bought, Captured)
        ours = refund(payment_id=bought.payment_id)
        other = await gateway.process(charge(amount=1), PATIENCE_S)
        assert other == Refused(RefusedReason.KEY_REUSED)
        again = await gateway.process(charge(idempotency_key="another"), PATIENCE_S)
        assert again == Refused(RefusedReason.ALREADY_CAPTURED)
        for changed in ({"amount": 1249}, {"amount": 1251}, {"currency": "USD"}):
            part = refund(payment_id=bought.payment_id, **changed)
            assert await gateway.refund(part, PATIENCE_S) == Refused(RefusedReason.PARTIAL_REFUND)
        of_another = await gateway.refund(refund(payment_id="pi_99"), PATIENCE_S)
        assert isinstance(of_another, Refused)
        assert of_another.reason is RefusedReason.BAD_REQUEST
        assert server.refunds == []
        assert isinstance(await gateway.refund(ours, PATIENCE_S), Refunded)
        back_again = refund(payment_id=bought.payment_id, idempotency_key="again")
        assert await gateway.refund(back_again, PATIENCE_S) == Refused(
            RefusedReason.ALREADY_REFUNDED
        )
        assert len(server.refunds) == 1

    run(test)


@pytest.mark.parametrize("captures_as", [(1251, "eur"), (1250, "usd")])
def test_f59_another_amount_is_told_and_can_be_given_back(captures_as: tuple[int, str]) -> None:
    amount, currency = captures_as[0], captures_as[1].upper()

    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        server.captures_as = captures_as
        captured = await gateway.process(charge(), PATIENCE_S)
        assert isinstance(captured, Captured)
        assert (captured.amount, captured.currency) == (amount, currency)
        assert not captured.pays(charge())
        assert await gateway.verify(ORDER, PATIENCE_S) == captured
        back = await gateway.refund(refund(amount=amount, currency=currency), PATIENCE_S)
        assert isinstance(back, Refunded)

    run(test)


def test_f61_a_refund_under_way_is_pending_and_found_again_by_its_key() -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        await gateway.process(charge(), PATIENCE_S)
        server.refunds_are = "pending"
        server.lost["/refunds"] = 1
        assert isinstance(await gateway.refund(refund(), PATIENCE_S), Unknown)
        assert await gateway.refund(refund(), PATIENCE_S) == Pending()
        assert await gateway.verify(ORDER, PATIENCE_S) == Pending()
        server.refunds[0]["status"] = "succeeded"
        assert await gateway.refund(refund(), PATIENCE_S) == REFUNDED
        assert len(server.refunds) == 1
        server.refunds[0]["status"] = "failed"
        answer = await gateway.refund(refund(), PATIENCE_S)
        assert isinstance(answer, Refused)
        assert isinstance(await gateway.verify(ORDER, PATIENCE_S), Unknown)

    run(test)


def test_what_was_given_back_in_part_at_the_dashboard_is_no_longer_what_was_asked() -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        await gateway.process(charge(), PATIENCE_S)
        server.give_back(server.charges[0], 250, {})
        found = await gateway.verify(ORDER, PATIENCE_S)
        assert isinstance(found, Captured)
        assert (found.amount, found.pays(charge())) == (1000, False)

    run(test)


@pytest.mark.parametrize(
    "other",
    [
        {"parameters": {}},
        {"parameters": {"payment_method": "4242424242424242"}},
        {"parameters": {"payment_method": "pm_1/../x"}},
        {"parameters": {"payment_method": CARD, "amount": "1"}},
        {"parameters": {"source": "tok_visa"}},
        # There 1250 is another sum than here.
        {"currency": "ISK"},
        {"currency": "UGX"},
        {"currency": "MGA"},
    ],
)
def test_b57_what_is_no_token_of_a_page_is_not_sent(other: dict[str, Any]) -> None:
    async def test(gateway: StripeGateway, server: StripeServer) -> None:
        answer = await gateway.process(charge(**other), PATIENCE_S)
        assert isinstance(answer, Refused)
        assert answer.reason is RefusedReason.BAD_REQUEST
        assert "4242" not in repr(answer)
        assert server.asked == []

    run(test)


def test_who_lacks_the_key_is_refused_and_nothing_shows_it(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")

    async def test(gateway: StripeGateway, _server: StripeServer) -> None:
        refused = Refused(RefusedReason.NOT_ALLOWED)
        answers = (
            await gateway.process(charge("pm_geheim"), PATIENCE_S),
            await gateway.verify(ORDER, PATIENCE_S),
            await gateway.refund(refund(), PATIENCE_S),
        )
        assert answers == (refused, refused, refused)
        assert "geheim" not in repr([answers, gateway, vars(gateway)])

    run(test, STRIPE_API_KEY="sk_test_geheim")
    assert "geheim" not in caplog.text + "".join(capfd.readouterr())


def test_stripe_s_package_writes_nothing_into_the_user_s_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    # Once in a process the package looks for an id there, or makes one.
    monkeypatch.setattr(telemetry, "_loaded", False)

    async def test(gateway: StripeGateway, _server: StripeServer) -> None:
        await gateway.process(charge("pm_card_visa"), PATIENCE_S)

    run(test)
    assert list(tmp_path.iterdir()) == []


# --- webhooks ------------------------------------------------------------------------------------


def delivery(body: bytes, secret: str = SECRET, at_s: int = NOW_S) -> Delivery:
    signed = hmac.new(secret.encode(), b"%d." % at_s + body, sha256).hexdigest()
    value = f"t={at_s},v1={signed},v0={'0' * 64}".encode()
    return Delivery([(b"Stripe-Signature", value)], body)


def judged(given: Delivery, **variables: str) -> Hint | WebhookRefusal:
    gateway = open_stripe(Environment({**VARIABLES, **variables}))
    return asyncio.run(gateway.webhook(given, NOW_S * 1000))


def event(kind: str = "payment_intent.succeeded", **about: Any) -> bytes:
    return json.dumps({"id": "evt_1", "type": kind, "data": {"object": about}}).encode()


def test_a_hint_names_the_order_of_whatever_it_is_about() -> None:
    grouped = event(transfer_group=f"seatstream-{ORDER}", metadata={})
    noted = event("refund.updated", metadata={"seatstream_order": ORDER})
    assert judged(delivery(grouped)) == Hint("evt_1", "payment_intent.succeeded", ORDER)
    assert judged(delivery(noted)) == Hint("evt_1", "refund.updated", ORDER)
    # Of another program with the same account; an error would have Stripe send it for days.
    for theirs in (
        {},
        {"metadata": None},
        {"transfer_group": "ORDER10"},
        {"metadata": {"a": "b"}},
    ):
        assert judged(delivery(event(**theirs))) == Hint("evt_1", "payment_intent.succeeded", None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"id": "evt_1", "type": "x"}',
        event().replace(b"evt_1", b"e 1"),
    ],
)
def test_b73_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    assert judged(delivery(body)) is WebhookRefusal.BAD_BODY


def test_b69_whoever_lacks_the_secret_or_comes_late_is_not_believed() -> None:
    assert judged(delivery(event(), "whsec_of_a_stranger")) is WebhookRefusal.WRONG_SIGNATURE
    assert judged(delivery(event(), at_s=NOW_S - 301)) is WebhookRefusal.NOT_NOW
    assert judged(delivery(event(), at_s=NOW_S + 301)) is WebhookRefusal.NOT_NOW
    assert judged(Delivery([], event())) is WebhookRefusal.NO_SIGNATURE
    large = b"[" * (BODY_BYTES_MAX + 1)
    assert judged(delivery(large)) is WebhookRefusal.TOO_LARGE


def test_two_secrets_hold_while_they_change() -> None:
    old = delivery(event(), OLD_SECRET)
    assert judged(old) is WebhookRefusal.WRONG_SIGNATURE
    for given in (old, delivery(event())):
        assert isinstance(judged(given, STRIPE_OLD_WEBHOOK_SECRET=OLD_SECRET), Hint)


# --- settings ------------------------------------------------------------------------------------


def test_secrets_may_stand_in_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    read = Environment(
        {
            "STRIPE_API_KEY_FILE": str(tmp_path / "key"),
            "STRIPE_WEBHOOK_SECRET_FILE": str(tmp_path / "secret"),
        }
    )
    gateway = open_stripe(read)
    read.check()
    assert isinstance(asyncio.run(gateway.webhook(delivery(event()), NOW_S * 1000)), Hint)


@pytest.mark.parametrize(
    "variables",
    [
        {"STRIPE_API_KEY": ""},
        {"STRIPE_WEBHOOK_SECRET": ""},
        {"STRIPE_WEBHOOK_SECRET": "geheim"},
        {"STRIPE_OLD_WEBHOOK_SECRET": "geheim"},
        {"STRIPE_API_BASE": "http://stripe.example"},
        {"STRIPE_LOG": "debug"},
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(variables: dict[str, str]) -> None:
    read = Environment({**VARIABLES, **variables})
    open_stripe(read)
    with pytest.raises(BadSetting, match=next(iter(variables))) as raised:
        read.check()
    assert "geheim" not in str(raised.value)
