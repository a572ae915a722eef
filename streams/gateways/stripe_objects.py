"""Turns Stripe's objects and errors into answers of the protocol; nothing here calls Stripe.

An order has one PaymentIntent, which captures once at most; each attempt to pay it is a Charge.
PaymentIntents and charges name the order as their `transfer_group`, PaymentIntents and refunds in
their metadata. The JSON is not trusted: an object with other fields or types, or about another
order, is Unknown.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from streams.gateways import protocol
from streams.gateways.answers import refund_by

ORDER_FIELD: Final = "seatstream_order"
KEY_FIELD: Final = "seatstream_key"
_GROUP: Final = "seatstream-"

Answer = TypeVar("Answer")
Fields = Mapping[str, Any]

OTHER_UNITS: Final = frozenset({"ISK", "MGA", "UGX"})
"""Currencies that Stripe counts in another unit than ISO 4217: there 100 may be 1 or 10,000."""

# Reasons that buyers are not told, since a thief would learn from them.
_NOT_FOR_BUYERS: Final = frozenset(
    {"fraudulent", "lost_card", "merchant_blacklist", "stolen_card"}
)
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
# Only Stripe's own names and codes are shown; its messages may repeat what was sent.
_NAME: Final = re.compile(r"[a-z0-9_\[\]]{1,64}")


def group_of(order_id: str) -> str:
    return f"{_GROUP}{order_id}"


def order_of(fields: Fields) -> str | None:
    """Return the order id in a PaymentIntent, charge or refund; None where it has none of ours."""
    group, metadata = fields.get("transfer_group"), fields.get("metadata")
    if isinstance(group, str) and group.startswith(_GROUP):
        named: object = group.removeprefix(_GROUP)
    else:
        named = metadata.get(ORDER_FIELD) if isinstance(metadata, Mapping) else None
    try:
        return protocol.check_order_id(named)
    except (TypeError, ValueError):
        return None


def hint_of(event: Fields) -> protocol.Hint:
    """Return the hint in an event; raises as `answers.hint_in` says of `read`."""
    return protocol.Hint(event["id"], event["type"], order_of(event["data"]["object"]))


def created(fields: Fields, order_id: str, amount: int, currency: str) -> str | protocol.Unknown:
    """Return the id of a new PaymentIntent; Unknown where it is not for this order and amount."""

    def read() -> str | protocol.Unknown:
        asked = (order_id, amount, currency.lower())
        if (order_of(fields), fields["amount"], fields["currency"]) != asked:
            return protocol.Unknown("a PaymentIntent for something else")
        if not re.fullmatch(r"pi_[A-Za-z0-9_]{1,120}", fields["id"]):
            return protocol.Unknown("a PaymentIntent without an id")
        return str(fields["id"])

    return _readable(read)


def confirmed(fields: Fields, order_id: str) -> protocol.ChargeAnswer:
    """Return the answer in a confirmed PaymentIntent, whose `latest_charge` is expanded."""

    def read() -> protocol.ChargeAnswer:
        if order_of(fields) != order_id:
            return protocol.Unknown("a PaymentIntent of another order")
        match fields["status"]:
            case "succeeded":
                if fields["latest_charge"]["payment_intent"] != fields["id"]:
                    return protocol.Unknown("a charge of another PaymentIntent")
                return _captured(fields["latest_charge"], order_id)
            case "processing" | "requires_action" | "requires_confirmation" | "requires_capture":
                return protocol.Pending()
            case "requires_payment_method":
                return protocol.Declined(_reason(fields.get("last_payment_error") or {}))
            case "canceled":
                return protocol.Declined("CANCELED")
            case _:
                return protocol.Unknown("a PaymentIntent in an unknown state")

    return _readable(read)


def standing(fields: Fields, order_id: str) -> protocol.OrderAnswer:
    """Return how an order stands by the list of its charges, newest first."""
    return _readable(lambda: _standing(_charges(fields, order_id), order_id))


def refund_known(fields: Fields, refund: protocol.Refund) -> protocol.RefundAnswer | None:
    """Return the answer to a refund by its order's charges; None where it has yet to be made."""

    def read() -> protocol.RefundAnswer | None:
        charges = _charges(fields, refund.order_id)
        for made in (made for charge in charges for made in charge["refunds"]["data"]):
            if (made["metadata"] or {}).get(KEY_FIELD) == refund.idempotency_key:
                return given_back(made, refund)
        return refund_by(_standing(charges, refund.order_id), refund)

    return _readable(read)


def given_back(fields: Fields, refund: protocol.Refund) -> protocol.RefundAnswer:
    """Return the answer in a refund that Stripe has made."""

    def read() -> protocol.RefundAnswer:
        if order_of(fields) != refund.order_id or fields["payment_intent"] != refund.payment_id:
            return protocol.Unknown("a refund of something else")
        match fields["status"]:
            case "succeeded":
                return _refunded(fields, fields["amount"], refund.order_id)
            case "pending" | "requires_action":
                return protocol.Pending()
            case "failed" | "canceled":
                return protocol.Refused(
                    protocol.RefusedReason.BAD_REQUEST, "Stripe could not give the money back"
                )
            case _:
                return protocol.Unknown("a refund in an unknown state")

    return _readable(read)


def failed(
    status: int, error: object, order_id: str
) -> (
    protocol.Declined
    | protocol.Pending
    | protocol.Refused
    | protocol.Unknown
    | protocol.Unavailable
):
    """Return what an error means.

    status: HTTP status; 0 for none. error: the field `error` of the body.
    """
    if not isinstance(error, Mapping):
        return protocol.Unknown(f"status {status}, and no error that can be read")
    about = error.get("payment_intent")
    intent = about if isinstance(about, Mapping) else {}
    if intent and order_of(intent) != order_id:
        return protocol.Unknown("an error about another order")
    match status, error.get("type"), error.get("code"):
        case _, _, "idempotency_key_in_use":
            return protocol.Unknown("a call with the same key is under way")
        case 400, _, "rate_limit":
            return protocol.Unavailable("too many requests: rate_limit")
        case 402, "card_error", _:
            return protocol.Declined(_reason(error))
        case ((400 | 404), "idempotency_error", _):
            return protocol.Refused(protocol.RefusedReason.KEY_REUSED)
        case 400, _, "payment_intent_unexpected_state":
            return _unexpected(intent.get("status"))
        case 400, _, "charge_already_refunded":
            return protocol.Refused(protocol.RefusedReason.ALREADY_REFUNDED)
        case ((401 | 403), _, _):
            return protocol.Refused(protocol.RefusedReason.NOT_ALLOWED, _names(error))
        case ((400 | 402 | 404), "invalid_request_error", _):
            return protocol.Refused(protocol.RefusedReason.BAD_REQUEST, _names(error))
        case _:
            return protocol.Unknown(f"status {status}, which is unknown here")


def _unexpected(
    status: object,
) -> protocol.Declined | protocol.Pending | protocol.Refused | protocol.Unknown:
    """Return the answer for a PaymentIntent whose state does not allow to confirm it."""
    match status:
        case "succeeded":
            return protocol.Refused(protocol.RefusedReason.ALREADY_CAPTURED)
        case "canceled":
            return protocol.Declined("CANCELED")
        case "processing" | "requires_action" | "requires_capture":
            return protocol.Pending()
        case _:
            return protocol.Unknown("a PaymentIntent in an unknown state")


def _readable(read: Callable[[], Answer]) -> Answer | protocol.Unknown:
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError):
        return protocol.Unknown("fields that cannot be read")


def _charges(fields: Fields, order_id: str) -> Sequence[Fields]:
    """Return all charges of an order.

    ValueError where the list is not complete, or has a charge of another order.
    """
    charges: Sequence[Fields] = fields["data"]
    if fields["has_more"] is not False or type(charges) is not list:
        raise ValueError("not all charges of an order")
    if any(order_of(charge) != order_id for charge in charges):
        raise ValueError("a charge of another order")
    return charges


def _standing(charges: Sequence[Fields], order_id: str) -> protocol.OrderAnswer:
    if any(one["status"] not in {"succeeded", "pending", "failed"} for one in charges):
        return protocol.Unknown("a charge in an unknown state")
    paid = [one for one in charges if one["status"] == "succeeded" and one["captured"] is True]
    kept = [one for one in paid if one["refunded"] is not True]
    if len(kept) > 1:
        return protocol.Unknown(
            f"charged {len(kept)} times: a person has to look at Stripe's dashboard"
        )
    if kept:
        return _captured(kept[0], order_id)
    # A charge that is authorized and not captured holds money, though nobody here asks for such.
    if any(one["status"] != "failed" and one not in paid for one in charges):
        return protocol.Pending()
    if paid:
        return _refunded_as_a_whole(paid[0], order_id)
    if charges:
        return protocol.Declined(_reason({"code": charges[0].get("failure_code")}))
    return protocol.NotFound()


def _captured(charge: Fields, order_id: str) -> protocol.Captured | protocol.Unknown:
    if order_of(charge) != order_id or charge["status"] != "succeeded":
        return protocol.Unknown("a charge of another order, or one without success")
    return protocol.Captured(
        order_id=order_id,
        payment_id=charge["payment_intent"],
        # Without the part that a person may have given back at Stripe's dashboard.
        amount=charge["amount_captured"] - charge["amount_refunded"],
        currency=charge["currency"].upper(),
        method=charge["payment_method_details"]["type"],
        approved_at_ms=charge["created"] * 1000,
    )


def _refunded_as_a_whole(charge: Fields, order_id: str) -> protocol.OrderAnswer:
    for made in charge["refunds"]["data"]:
        if made["status"] == "succeeded":
            return _refunded(made, charge["amount_refunded"], order_id)
        if made["status"] in {"pending", "requires_action"}:
            return protocol.Pending()
    return protocol.Unknown("money that was given back, and no refund")


def _refunded(made: Fields, amount: int, order_id: str) -> protocol.Refunded:
    return protocol.Refunded(
        order_id=order_id,
        payment_id=made["payment_intent"],
        refund_id=made["id"],
        amount=amount,
        currency=made["currency"].upper(),
        refunded_at_ms=made["created"] * 1000,
    )


def _reason(error: Fields) -> str:
    """Return why a card was declined, as a word that a buyer may see."""
    for name in ("decline_code", "code"):
        code = error.get(name)
        if isinstance(code, str) and _WORD.fullmatch(code):
            return "CARD_DECLINED" if code in _NOT_FOR_BUYERS else code.upper()
    return "CARD_DECLINED"


def _names(error: Fields) -> str:
    named = [error.get("code"), error.get("param")]
    return ": ".join(name for name in named if isinstance(name, str) and _NAME.fullmatch(name))
