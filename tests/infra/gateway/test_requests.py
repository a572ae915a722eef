import json
from typing import Any

import pytest

from infra.gateway.requests import BadRequest, charge_of, refund_of

CHARGE: dict[str, Any] = {
    "order_id": "o",
    "amount": 100,
    "currency": "EUR",
    "method": "card",
    "parameters": {"token": "t"},
}


def test_a_charge_and_a_refund_are_read() -> None:
    assert charge_of(json.dumps(CHARGE).encode()).parameters == {"token": "t"}
    asked = {name: CHARGE[name] for name in ("order_id", "amount", "currency")}
    assert refund_of(json.dumps(asked).encode()).amount == 100


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": True},
        {"amount": 1.5},
        {"amount": "1"},
        {"amount": 2**53},
        {"currency": "eur"},
        {"currency": "EURO"},
        {"order_id": ""},
        {"order_id": "x" * 201},
        {"method": None},
        {"parameters": []},
        {"parameters": {"a": 1}},
        {"more": 1},
    ],
)
def test_b58_anything_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        charge_of(json.dumps({**CHARGE, **change}).encode())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"amount": NaN}']
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        charge_of(body)


def test_a_field_that_is_missing_is_refused() -> None:
    with pytest.raises(BadRequest, match="exactly the fields"):
        refund_of(json.dumps(CHARGE).encode())
