"""Reads the JSON of requests strictly: unknown fields and other types are refused."""

import json
from collections.abc import Mapping
from typing import Any, Final

from infra.gateway.books import ChargeRequest, RefundRequest

_TEXT_MAX: Final = 200
_AMOUNT_MAX: Final = 2**53 - 1


class BadRequest(ValueError):
    """A request that the gateway does not take; the message repeats no value."""


def fields_of(body: bytes, types: Mapping[str, type]) -> dict[str, Any]:
    """Return the fields of a JSON object; BadRequest unless they are exactly those of `types`."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(given, dict) or set(given) != set(types):
        raise BadRequest(f"the body has exactly the fields {', '.join(sorted(types))}")
    for name, kind in types.items():
        # True is an int to Python.
        if type(given[name]) is not kind:
            raise BadRequest(f"{name} is no {kind.__name__}")
        if kind is str and not 0 < len(given[name]) <= _TEXT_MAX:
            raise BadRequest(f"{name} has 1 to {_TEXT_MAX} characters")
    return given


def _money(given: Mapping[str, Any]) -> None:
    if not 1 <= given["amount"] <= _AMOUNT_MAX:
        raise BadRequest("amount is not positive")
    currency: str = given["currency"]
    if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise BadRequest("currency is no code of three letters")


def charge_of(body: bytes) -> ChargeRequest:
    types = {
        "order_id": str,
        "amount": int,
        "currency": str,
        "method": str,
        "parameters": dict,
    }
    given = fields_of(body, types)
    _money(given)
    if not all(isinstance(value, str) for value in given["parameters"].values()):
        raise BadRequest("parameters are texts")
    return ChargeRequest(**given)


def refund_of(body: bytes) -> RefundRequest:
    given = fields_of(body, {"order_id": str, "amount": int, "currency": str})
    _money(given)
    return RefundRequest(**given)
