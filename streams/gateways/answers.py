"""How the clients of all gateways turn what they read into answers and hints of the protocol."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from streams.gateways.calls import json_object
from streams.gateways.protocol import (
    Captured,
    ChargeAnswer,
    Declined,
    Delivery,
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
from streams.gateways.webhooks import Secrets, WebhookRefusal, refusal_of

NONE_TO_THIS: Final = Unknown("an answer that does not fit the question")


def wrong_token(
    tokens: Mapping[str, re.Pattern[str]], parameters: Mapping[str, str], of: str
) -> WrongDetail | None:
    """Say what is wrong with parameters that must be exactly one token; None where nothing is.

    tokens: pattern of each possible token, by its name. of: who makes the token, for the message.
    """
    match list(parameters.items()):
        case [(name, value)] if name in tokens:
            is_one = tokens[name].fullmatch(value)
            return None if is_one else WrongDetail(f"parameters.{name}", f"as {of} made it")
        case _:
            why = f"one parameter, {' or '.join(tokens)}, as {of} made it"
            return WrongDetail("parameters", why)


def to_charge(answer: OrderAnswer) -> ChargeAnswer:
    """Return the answer to a charge; Unknown where it can be none to a charge."""
    return NONE_TO_THIS if isinstance(answer, Refunded | NotFound) else answer


def to_refund(answer: OrderAnswer) -> RefundAnswer:
    """Return the answer to a refund; Unknown where it can be none to a refund."""
    return NONE_TO_THIS if isinstance(answer, Captured | Declined) else answer


def refund_by(standing: OrderAnswer, refund: Refund) -> RefundAnswer | None:
    """Return the answer to a refund that its order already decides; None to make the refund.

    standing: how the order stands. The caller has looked for a refund with the same idempotency
              key before: `Refunded` here means a refund with another key.
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


def signed_hint(
    delivery: Delivery,
    header: bytes,
    secrets: Secrets,
    now_ms: int,
    read: Callable[[Mapping[str, Any]], Hint],
) -> Hint | WebhookRefusal:
    """Return the hint of a webhook in the scheme of `webhooks`, or why it is not believed.

    header: name of the header with the signature, in lower case. read: as in `hint_in`.
    """
    refusal = refusal_of(header, delivery.headers, delivery.body, secrets, now_ms)
    return hint_in(delivery.body, read) if refusal is None else refusal


def hint_in(body: bytes, read: Callable[[Mapping[str, Any]], Hint]) -> Hint | WebhookRefusal:
    """Return the hint in the body of a webhook whose signature is right.

    read: makes the hint of the body's fields; raises AttributeError, KeyError, TypeError or
          ValueError for fields without one.
    """
    try:
        return read(json_object(body) or {})
    except (AttributeError, KeyError, TypeError, ValueError):
        return WebhookRefusal.BAD_BODY
