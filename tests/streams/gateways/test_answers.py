"""An answer to one question is none to another; a refund follows from how its order stands."""

from collections.abc import Mapping
from typing import Any

import pytest

from streams.gateways.answers import NONE_TO_THIS, hint_in, refund_by, to_charge, to_refund
from streams.gateways.protocol import (
    Captured,
    Declined,
    Hint,
    NotFound,
    OrderAnswer,
    Pending,
    Refund,
    RefundAnswer,
    Refunded,
    Refused,
    RefusedReason,
    Unavailable,
    Unknown,
)
from streams.gateways.webhooks import WebhookRefusal

REFUND = Refund(order_id="o1", payment_id="p1", amount=1_000, currency="EUR", idempotency_key="k1")
REFUNDED = Refunded(
    order_id="o1",
    payment_id="p1",
    refund_id="r1",
    amount=1_000,
    currency="EUR",
    refunded_at_ms=2_000,
)
ALIKE: list[OrderAnswer] = [
    Pending(),
    Refused(RefusedReason.KEY_REUSED),
    Unknown("a reset"),
    Unavailable("sent away"),
]


def captured(payment_id: str = "p1", amount: int = 1_000, currency: str = "EUR") -> Captured:
    return Captured(
        order_id="o1",
        payment_id=payment_id,
        amount=amount,
        currency=currency,
        method="card",
        approved_at_ms=1_000,
    )


@pytest.mark.parametrize("answer", [captured(), Declined("CARD_DECLINED"), *ALIKE])
def test_what_a_charge_can_be_answered_with_is_kept(answer: OrderAnswer) -> None:
    assert to_charge(answer) == answer


@pytest.mark.parametrize("answer", [REFUNDED, NotFound(), *ALIKE])
def test_what_a_refund_can_be_answered_with_is_kept(answer: OrderAnswer) -> None:
    assert to_refund(answer) == answer


def test_what_neither_can_be_answered_with_says_nothing() -> None:
    assert to_charge(REFUNDED) == to_charge(NotFound()) == NONE_TO_THIS
    assert to_refund(captured()) == to_refund(Declined("CARD_DECLINED")) == NONE_TO_THIS


def test_a_refund_is_made_only_of_all_that_this_payment_captured() -> None:
    assert refund_by(captured(), REFUND) is None


@pytest.mark.parametrize(
    ("standing", "answer"),
    [
        (captured(payment_id="p2"), RefusedReason.BAD_REQUEST),
        (captured(amount=999), RefusedReason.PARTIAL_REFUND),
        (captured(currency="USD"), RefusedReason.PARTIAL_REFUND),
        (REFUNDED, RefusedReason.ALREADY_REFUNDED),
    ],
)
def test_any_other_refund_is_refused_with_its_reason(
    standing: OrderAnswer, answer: RefusedReason
) -> None:
    refused = refund_by(standing, REFUND)
    assert isinstance(refused, Refused)
    assert refused.reason is answer


@pytest.mark.parametrize(
    ("standing", "answer"),
    [
        # Nothing was captured that could be given back.
        (Declined("CARD_DECLINED"), NotFound()),
        (NotFound(), NotFound()),
        (Pending(), Pending()),
        (Unknown("a reset"), Unknown("a reset")),
        (Unavailable("sent away"), Unavailable("sent away")),
    ],
)
def test_where_nothing_can_be_given_back_now_that_is_the_answer(
    standing: OrderAnswer, answer: RefundAnswer
) -> None:
    assert refund_by(standing, REFUND) == answer


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"no JSON", b'{"id": "e1"}', b'{"id": "", "of": "o1"}', b'{"id": 1, "of": "o1"}'],
)
def test_a_webhook_without_a_hint_in_it_is_refused_for_its_body(body: bytes) -> None:
    def read(fields: Mapping[str, Any]) -> Hint:
        return Hint(fields["id"], "paid", fields["of"])

    assert hint_in(body, read) is WebhookRefusal.BAD_BODY
    assert hint_in(b'{"id": "e1", "of": "o1"}', read) == Hint("e1", "paid", "o1")
