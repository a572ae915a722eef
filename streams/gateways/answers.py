"""What any gateway told, as the answer to a charge, to a refund, or as the hint of a webhook."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from streams.gateways.calls import json_object
from streams.gateways.protocol import (
    Captured,
    ChargeAnswer,
    Declined,
    Hint,
    NotFound,
    OrderAnswer,
    Refund,
    RefundAnswer,
    Refunded,
    Refused,
    RefusedReason,
    Unknown,
    WrongDetail,
)
from streams.gateways.webhooks import WebhookRefusal

NONE_TO_THIS: Final = Unknown("an answer that is none to this question")


def wrong_token(
    tokens: Mapping[str, re.Pattern[str]], parameters: Mapping[str, str], of: str
) -> WrongDetail | None:
    """Say what is wrong with parameters that have to be exactly one token; None for nothing.

    tokens: what each may look like, by its name. of: who made it, for people.
    """
    match list(parameters.items()):
        case [(name, value)] if name in tokens:
            is_one = tokens[name].fullmatch(value)
            return None if is_one else WrongDetail(f"parameters.{name}", f"as {of} made it")
        case _:
            why = f"one parameter, {' or '.join(tokens)}, as {of} made it"
            return WrongDetail("parameters", why)


def to_charge(answer: OrderAnswer) -> ChargeAnswer:
    """Return what was answered to a charge; Unknown for what no charge can be answered with."""
    return NONE_TO_THIS if isinstance(answer, Refunded | NotFound) else answer


def to_refund(answer: OrderAnswer) -> RefundAnswer:
    """Return what was answered to a refund; Unknown for what no refund can be answered with."""
    return NONE_TO_THIS if isinstance(answer, Captured | Declined) else answer


def refund_by(standing: OrderAnswer, refund: Refund) -> RefundAnswer | None:
    """Return what a refund comes to by how its order stands; None where it is to be made.

    standing: a refund of the same idempotency key, which is no other one, is not in it.
    """
    match standing:
        case Captured() as captured if captured.payment_id != refund.payment_id:
            return Refused(RefusedReason.BAD_REQUEST, "the order was paid by another payment")
        case Captured() as captured:
            is_whole = (captured.amount, captured.currency) == (refund.amount, refund.currency)
            return None if is_whole else Refused(RefusedReason.PARTIAL_REFUND)
        case Refunded():
            return Refused(RefusedReason.ALREADY_REFUNDED)
        case Declined():
            return NotFound()
        case other:
            return other


def hint_in(body: bytes, read: Callable[[Mapping[str, Any]], Hint]) -> Hint | WebhookRefusal:
    """Return the hint that `read` finds in the fields of a webhook that is believed.

    read: raises AttributeError, KeyError, TypeError or ValueError for fields without a hint.
    """
    try:
        return read(json_object(body) or {})
    except (AttributeError, KeyError, TypeError, ValueError):
        return WebhookRefusal.BAD_BODY
