"""What every gateway makes of what can happen on the wire: the same, for all of them.

Each fault meets the last request of a question, the ones before it being answered well, and the
first one; so also between two calls that make up one question.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from support.gateways.serving import Fail, hang, http, on_the_wire, reset, saying

from infra.process.environment import Environment
from streams.gateways.protocol import (
    ANSWER_BYTES_MAX,
    Captured,
    Charge,
    Gateway,
    Refund,
    Unavailable,
    Unknown,
)
from streams.gateways.registry import known_gateways

# Longer than anything takes on a slow machine; what ends by it is a failure.
PATIENCE_S = 60.0
ORDER = "order-1.2.3"
AMOUNT = 1250
SECRETS = ("geheim_key_1", "geheim_secret_1_", "geheim_card")


@dataclass(frozen=True)
class Speaker:
    """A gateway as it is opened and charged, and the answers before a question's last one."""

    variables: Mapping[str, str]
    url: str
    currency: str
    parameters: Mapping[str, str]
    payment_id: str
    process: tuple[object, ...] = ()
    refund: tuple[object, ...] = ()


_INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": AMOUNT,
    "currency": "eur",
    "transfer_group": f"seatstream-{ORDER}",
    "status": "requires_payment_method",
}
_CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "amount": AMOUNT,
    "amount_captured": AMOUNT,
    "amount_refunded": 0,
    "captured": True,
    "created": 1_795_764_000,
    "currency": "eur",
    "payment_intent": "pi_1",
    "payment_method_details": {"type": "card"},
    "refunded": False,
    "refunds": {"object": "list", "data": [], "has_more": False, "url": "/v1/refunds"},
    "status": "succeeded",
    "transfer_group": f"seatstream-{ORDER}",
}
_PAYMENT = {
    "paymentKey": "pay_1",
    "orderId": ORDER.replace(".", "="),
    "status": "DONE",
    "method": "카드",
    "currency": "KRW",
    "totalAmount": AMOUNT,
    "balanceAmount": AMOUNT,
    "approvedAt": "2026-11-27T09:00:00+09:00",
    "cancels": None,
}
SPEAKERS = {
    "mock": Speaker(
        {"MOCK_GATEWAY_API_KEY": SECRETS[0], "MOCK_GATEWAY_WEBHOOK_SECRET": SECRETS[1]},
        "MOCK_GATEWAY_URL",
        "EUR",
        {"token": SECRETS[2]},
        "pay_1",
    ),
    "stripe": Speaker(
        {"STRIPE_API_KEY": SECRETS[0], "STRIPE_WEBHOOK_SECRET": SECRETS[1]},
        "STRIPE_API_BASE",
        "EUR",
        {"payment_method": f"pm_{SECRETS[2]}"},
        "pi_1",
        process=(_INTENT,),
        refund=({"object": "list", "data": [_CHARGE], "has_more": False, "url": "/v1/charges"},),
    ),
    "toss": Speaker(
        {"TOSS_API_KEY": SECRETS[0], "TOSS_WEBHOOK_SECRET": SECRETS[1]},
        "TOSS_API_BASE",
        "KRW",
        {"payment_key": SECRETS[2]},
        "pay_1",
        refund=(_PAYMENT,),
    ),
}

HUGE = b" " * (ANSWER_BYTES_MAX + 1)
MONEY = json.dumps({"status": "captured", **_INTENT, **_CHARGE, **_PAYMENT}).encode()
# What is written, or None for a reset; and what it means that this was the answer.
ANSWERS: dict[str, tuple[bytes | None, type[Any]]] = {
    "a reset": (None, Unknown),
    "nothing": (b"", Unknown),
    "no HTTP": (b"\x00\x01\x02\r\n\r\n", Unknown),
    "half a body": (http(200, MONEY)[:-10], Unknown),
    "no JSON": (http(200, b"<html>geheim_card</html>"), Unknown),
    "no object": (http(200, b"[1]"), Unknown),
    "no UTF-8": (http(200, b'{"a": "\xff"}'), Unknown),
    "deep": (http(200, b'{"a":' * 12_000), Unknown),
    "too large": (http(200, HUGE), Unknown),
    "no fields": (http(200, b"{}"), Unknown),
    "null": (http(200, b'{"status": null, "data": null, "object": null}'), Unknown),
    "other types": (http(200, b'{"object": 1, "data": {"a": 1}, "has_more": false}'), Unknown),
    "an odd list": (http(200, b'{"object": "list", "data": [7], "has_more": false}'), Unknown),
    "an error of no form": (http(400, b'{"error": 7, "code": 7}'), Unknown),
    "an error of odd fields": (http(402, b'{"error": {"type": [], "code": {}}}'), Unknown),
    "300": (http(307, MONEY, "Location: http://127.0.0.1:9/"), Unknown),
    "408": (http(408, MONEY), Unknown),
    "409": (http(409, b'{"error": {"code": "x"}, "code": "IDEMPOTENT"}'), Unknown),
    "418": (http(418, MONEY), Unknown),
    "500": (http(500, MONEY), Unknown),
    "503": (http(503, MONEY, "Retry-After: 5"), Unknown),
    "429": (http(429, b"", "Retry-After: 5"), Unavailable),
    "lock_timeout": (http(429, b'{"error": {"code": "lock_timeout"}}'), Unavailable),
}

Ask = Callable[[Gateway, Speaker, float], Awaitable[Any]]


def _process(gateway: Gateway, speaker: Speaker, timeout_s: float) -> Awaitable[Any]:
    charge = Charge(
        order_id=ORDER,
        amount=AMOUNT,
        currency=speaker.currency,
        idempotency_key=f"pay:{ORDER}",
        method="card",
        parameters=speaker.parameters,
    )
    return gateway.process(charge, timeout_s)


def _verify(gateway: Gateway, _speaker: Speaker, timeout_s: float) -> Awaitable[Any]:
    return gateway.verify(ORDER, timeout_s)


def _refund(gateway: Gateway, speaker: Speaker, timeout_s: float) -> Awaitable[Any]:
    refund = Refund(
        order_id=ORDER,
        payment_id=speaker.payment_id,
        amount=AMOUNT,
        currency=speaker.currency,
        idempotency_key=f"refund:{ORDER}",
    )
    return gateway.refund(refund, timeout_s)


QUESTIONS: dict[str, Ask] = {"process": _process, "verify": _verify, "refund": _refund}
# Of which gateway, which question, after how many good answers.
PLACES = [
    (name, question, number)
    for name, speaker in SPEAKERS.items()
    for question in QUESTIONS
    for number in range(len(getattr(speaker, question, ())) + 1)
]
_IDS = [f"{name}-{question}-{number}" for name, question, number in PLACES]


def asked(
    place: tuple[str, str, int],
    fails: Fail,
    timeout_s: float = PATIENCE_S,
) -> Any:
    """Ask a gateway whose server fails at this place; return the answer."""
    name, question, failing = place
    speaker = SPEAKERS[name]
    before = getattr(speaker, question, ())

    def behave(number: int) -> Fail:
        # A look-up that was reset may be repeated by the HTTP library, and meets the same.
        if number < failing:
            return saying(http(200, json.dumps(before[number]).encode()))
        return fails

    async def whole() -> Any:
        async with on_the_wire(behave) as url:
            gateway = _opened(name, speaker, url)
            try:
                answer = await QUESTIONS[question](gateway, speaker, timeout_s)
                assert not [secret for secret in SECRETS if secret in repr([answer, gateway])]
                return answer
            finally:
                await gateway.close()

    return asyncio.run(whole())


def _opened(name: str, speaker: Speaker, url: str) -> Gateway:
    read = Environment({**speaker.variables, speaker.url: url})
    gateway = known_gateways([]).open(name, read)
    read.check()
    return gateway


def test_all_gateways_are_here() -> None:
    assert tuple(sorted(SPEAKERS)) == known_gateways([]).names()


@pytest.mark.parametrize("place", PLACES, ids=_IDS)
def test_f53_f54_a_fault_of_the_wire_has_its_answer(
    place: tuple[str, str, int],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    for case, (content, kind) in ANSWERS.items():
        answer = asked(place, reset if content is None else saying(content))
        assert type(answer) is kind, (case, answer)
        if case == "429":
            assert answer.retry_after_s == 5
    written = caplog.text + "".join(capfd.readouterr())
    assert not [secret for secret in SECRETS if secret in written]


_OF_MOCK = {
    "status": "captured",
    "order_id": ORDER,
    "payment_id": "pay_1",
    "amount": AMOUNT,
    "currency": "EUR",
    "method": "card",
    "approved_at_ms": 1,
}
_SUCCEEDED = {**_INTENT, "status": "succeeded", "latest_charge": _CHARGE}
_LISTED = {"object": "list", "data": [_CHARGE], "has_more": False, "url": "/v1/charges"}
# By gateway: the last answers to a charge and to a look-up, where the money is there.
PAID: dict[str, tuple[object, object]] = {
    "mock": (_OF_MOCK, _OF_MOCK),
    "stripe": (_SUCCEEDED, _LISTED),
    "toss": (_PAYMENT, _PAYMENT),
}


def about(order_id: str, answer: object) -> Fail:
    """Return an answer as it is, but for the order that it is about."""
    text = json.dumps(answer).replace(ORDER, order_id)
    text = text.replace(ORDER.replace(".", "="), order_id.replace(".", "="))
    return saying(http(200, text.encode()))


@pytest.mark.parametrize("name", SPEAKERS)
def test_i11_the_payment_of_another_order_is_never_taken_for_ours(name: str) -> None:
    """An answer is about our order where the gateway says so, not because we asked for that."""
    for question, answer in zip(("process", "verify"), PAID[name], strict=True):
        last = name, question, len(getattr(SPEAKERS[name], question, ()))
        ours = asked(last, about(ORDER, answer))
        assert (type(ours), ours.order_id) == (Captured, ORDER)
        for other in ("order-1.2.4", "order-1.3.3", "order-2.2.3", ORDER + "0", "x" + ORDER):
            assert type(asked(last, about(other, answer))) is Unknown


@pytest.mark.parametrize("place", PLACES, ids=_IDS)
def test_f53_who_waits_no_longer_knows_nothing(place: tuple[str, str, int]) -> None:
    assert type(asked(place, hang, timeout_s=0.05)) is Unknown


@pytest.mark.parametrize("name", SPEAKERS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_f60_a_gateway_that_is_not_there_has_done_nothing(name: str, question: str) -> None:
    async def whole() -> None:
        # Nobody listens at the port that discards.
        gateway = _opened(name, SPEAKERS[name], "http://127.0.0.1:9")
        try:
            ask = QUESTIONS[question]
            assert type(await ask(gateway, SPEAKERS[name], PATIENCE_S)) is Unavailable
            assert type(await ask(gateway, SPEAKERS[name], 0)) is Unavailable
            assert type(await ask(gateway, SPEAKERS[name], -1)) is Unavailable
        finally:
            await gateway.close()

    asyncio.run(whole())


@pytest.mark.parametrize("name", SPEAKERS)
def test_a_gateway_takes_its_own_tokens_and_no_card(name: str) -> None:
    async def check() -> None:
        speaker = SPEAKERS[name]
        gateway = _opened(name, speaker, "http://127.0.0.1:9")
        assert gateway.wrong_detail("card", speaker.parameters) is None
        known = next(iter(speaker.parameters))
        card = "4242424242424242"
        for parameters in ({known: card}, {"number": card}, {card: "x"}, {known: "", "cvc": "1"}):
            wrong = gateway.wrong_detail("card", parameters)
            assert wrong is not None
            assert "4242" not in f"{wrong}"
            assert wrong.where in {"parameters", f"parameters.{known}"}
        await gateway.close()

    asyncio.run(check())
