from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from streams.gateways.protocol import (
    DETAIL_MAX,
    Captured,
    Charge,
    Declined,
    Delivery,
    Hint,
    Refund,
    Refunded,
    Refused,
    RefusedReason,
    Unavailable,
    Unknown,
)

CHARGE: dict[str, Any] = {
    "order_id": "r-1:1",
    "amount": 1250,
    "currency": "EUR",
    "idempotency_key": "pay:r-1:1",
    "method": "card",
    "parameters": {"token": "tok_very_secret"},
}
REFUND: dict[str, Any] = {
    "order_id": "r-1:1",
    "payment_id": "pay_1",
    "amount": 1250,
    "currency": "EUR",
    "idempotency_key": "refund:r-1",
}
CAPTURED: dict[str, Any] = {
    "order_id": "r-1:1",
    "payment_id": "pay_1",
    "amount": 1250,
    "currency": "EUR",
    "method": "card",
    "approved_at_ms": 1_700_000_000_000,
}
REFUNDED: dict[str, Any] = {
    "order_id": "r-1:1",
    "payment_id": "pay_1",
    "refund_id": "ref_1",
    "amount": 1250,
    "currency": "EUR",
    "refunded_at_ms": 1_700_000_000_000,
}
BAD = [
    ("amount", 0),
    ("amount", -5),
    ("amount", True),
    ("amount", 12.5),
    ("amount", "1250"),
    ("currency", "EURO"),
    ("currency", 978),
    ("order_id", ""),
    ("order_id", "a/b"),
    # The path of a URL would lose them.
    ("order_id", "."),
    ("order_id", ".."),
    ("order_id", "x" * 129),
    ("order_id", b"r-1"),
]
OF_REQUESTS = [("idempotency_key", "a b"), ("idempotency_key", "x" * 201), ("idempotency_key", 1)]
OF_ANSWERS = [("payment_id", ""), ("payment_id", 7), ("payment_id", "x" * 129)]


@pytest.mark.parametrize(
    ("kind", "good", "field", "value"),
    [
        *[(Charge, CHARGE, *bad) for bad in [*BAD, *OF_REQUESTS, ("method", "Card")]],
        *[(Refund, REFUND, *bad) for bad in [*BAD, *OF_REQUESTS, *OF_ANSWERS]],
        *[(Captured, CAPTURED, *bad) for bad in [*BAD, *OF_ANSWERS, ("approved_at_ms", -1)]],
        *[(Captured, CAPTURED, *bad) for bad in [("approved_at_ms", 1.0), ("method", "a b")]],
        *[(Refunded, REFUNDED, *bad) for bad in [*BAD, *OF_ANSWERS, ("refund_id", "é")]],
    ],
)
def test_b58_a_value_with_anything_else_in_it_cannot_be_made(
    kind: Any, good: dict[str, Any], field: str, value: Any
) -> None:
    kind(**good)
    with pytest.raises((TypeError, ValueError)):
        kind(**{**good, field: value})


@pytest.mark.parametrize(
    "parameters",
    [
        {"": "x"},
        {"n" * 65: "x"},
        {"n": "x" * 2_049},
        {"n": 1},
        {1: "x"},
        {str(number): "x" for number in range(33)},
    ],
)
def test_parameters_are_bounded_texts(parameters: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="parameter"):
        Charge(**{**CHARGE, "parameters": parameters})


def test_a_charge_does_not_change_with_what_it_was_made_of() -> None:
    parameters = {"token": "a"}
    charge = Charge(**{**CHARGE, "parameters": parameters})
    parameters["token"] = "b"
    assert charge.parameters["token"] == "a"
    with pytest.raises(TypeError):
        charge.parameters["token"] = "b"  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        charge.amount = 1  # type: ignore[misc]


def test_i24_what_a_gateway_wants_to_know_of_a_method_is_in_no_repr_and_no_error() -> None:
    assert "tok_very_secret" not in repr(Charge(**CHARGE))
    assert "4242" not in repr(Delivery([], b"4242424242424242"))
    with pytest.raises(ValueError, match="parameter") as raised:
        Charge(**{**CHARGE, "parameters": {"token": "tok_very_secret" * 1_000}})
    assert "tok_very_secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value"), [("amount", 1251), ("currency", "USD"), ("order_id", "r-2:1")]
)
def test_f59_a_capture_of_anything_else_does_not_pay(field: str, value: Any) -> None:
    charge = Charge(**CHARGE)
    assert Captured(**CAPTURED).pays(charge)
    assert not Captured(**{**CAPTURED, field: value}).pays(charge)


@pytest.mark.parametrize("reason", ["", "card declined", "X" * 65, "<b>", 7])
def test_a_reason_is_one_word(reason: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Declined(reason)


def test_a_name_that_only_begins_with_dots_is_an_order_id() -> None:
    assert Charge(**{**CHARGE, "order_id": "..."}).order_id == "..."


def test_what_is_told_for_people_is_cut_to_its_bound() -> None:
    long = "x" * (DETAIL_MAX + 1)
    for answer in (
        Unknown(long),
        Unavailable(long, 2.0),
        Refused(RefusedReason.BAD_REQUEST, long),
    ):
        assert answer.why == "x" * DETAIL_MAX


@pytest.mark.parametrize(
    ("event_id", "kind", "order_id"),
    [("", "k", "o"), ("e", "a b", "o"), ("e", "k", ".."), (7, "k", "o"), ("e", None, "o")],
)
def test_b73_a_hint_of_anything_else_cannot_be_made(
    event_id: Any, kind: Any, order_id: Any
) -> None:
    Hint("e", "k", None)
    with pytest.raises((TypeError, ValueError)):
        Hint(event_id, kind, order_id)
