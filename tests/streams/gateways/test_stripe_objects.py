from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.domain.keys import Order
from streams.gateways import stripe_objects as objects
from streams.gateways.protocol import (
    Captured,
    Declined,
    NotFound,
    Pending,
    Refund,
    Refunded,
    Refused,
    RefusedReason,
    Unavailable,
    Unknown,
)

ORDER = "res-1.1.0"
GROUP = f"seatstream-{ORDER}"
REFUND = Refund(
    order_id=ORDER, payment_id="pi_1", amount=1250, currency="EUR", idempotency_key="refund:1"
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "status", "error", "id", "type", "x"]), inner)
    ),
    max_leaves=4,
)


def charge(**other: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "amount": 1250,
        "amount_captured": 1250,
        "amount_refunded": 0,
        "captured": True,
        "created": 1_795_764_000,
        "currency": "eur",
        "failure_code": None,
        "payment_intent": "pi_1",
        "payment_method_details": {"type": "card"},
        "refunded": False,
        "refunds": {"data": []},
        "status": "succeeded",
        "transfer_group": GROUP,
        **other,
    }


def made(status: str = "succeeded", **other: Any) -> dict[str, Any]:
    return {
        "id": "re_1",
        "amount": 1250,
        "created": 1_795_764_060,
        "currency": "eur",
        "metadata": {"seatstream_order": ORDER, "seatstream_key": "refund:1"},
        "payment_intent": "pi_1",
        "status": status,
        **other,
    }


def listed(*charges: dict[str, Any], has_more: object = False) -> dict[str, Any]:
    return {"object": "list", "data": list(charges), "has_more": has_more}


FAILED = charge(status="failed", captured=False, amount_captured=0, failure_code="card_declined")
WAITING = charge(status="pending", captured=False, amount_captured=0)
HELD = charge(captured=False, amount_captured=0)
BACK = charge(refunded=True, amount_refunded=1250, refunds={"data": [made()]})


@pytest.mark.parametrize(
    ("charges", "kind"),
    [
        ((), NotFound),
        ((charge(),), Captured),
        ((FAILED,), Declined),
        ((WAITING,), Pending),
        ((HELD,), Pending),
        ((BACK,), Refunded),
        # An attempt that failed before says nothing of one that did not, whatever the order.
        ((charge(), FAILED), Captured),
        ((FAILED, charge()), Captured),
        ((FAILED, WAITING), Pending),
        ((FAILED, BACK), Refunded),
        # Money that is there counts before money that went back.
        ((BACK, charge(id="ch_2", payment_intent="pi_2")), Captured),
        # Nobody knows which of two is meant.
        ((charge(), charge(id="ch_2", payment_intent="pi_2")), Unknown),
        ((charge(transfer_group="seatstream-another"),), Unknown),
        ((charge(status="new_word"),), Unknown),
        ((charge(refunded=True, amount_refunded=1250),), Unknown),
        ((charge(refunded=True, refunds={"data": [made("failed")]}),), Unknown),
        ((charge(refunded=True, refunds={"data": [made("pending")]}),), Pending),
        ((charge(amount_captured="1250"),), Unknown),
        ((charge(amount_captured=12.5),), Unknown),
        ((charge(currency=None),), Unknown),
        ((charge(payment_intent=None),), Unknown),
        ((charge(created="soon"),), Unknown),
    ],
)
def test_f53_an_order_stands_by_all_of_its_charges(
    charges: tuple[dict[str, Any], ...], kind: type[Any]
) -> None:
    assert type(objects.standing(listed(*charges), ORDER)) is kind


def test_a_list_that_goes_on_is_not_all_of_them() -> None:
    for more in (True, None, 0, "false"):
        answer = objects.standing(listed(charge(), has_more=more), ORDER)
        assert isinstance(answer, Unknown)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (402, {"type": "card_error", "code": "expired_card"}, Declined("EXPIRED_CARD")),
        (402, {"type": "card_error", "code": "No such"}, Declined("CARD_DECLINED")),
        (402, {"type": "card_error", "decline_code": "fraudulent"}, Declined("CARD_DECLINED")),
        (400, {"type": "idempotency_error"}, Refused(RefusedReason.KEY_REUSED)),
        (401, {"type": "invalid_request_error"}, Refused(RefusedReason.NOT_ALLOWED)),
        (
            403,
            {"code": "more_permissions_required"},
            Refused(RefusedReason.NOT_ALLOWED, "more_permissions_required"),
        ),
        (
            404,
            {"type": "invalid_request_error", "code": "resource_missing", "param": "No: pm_1"},
            Refused(RefusedReason.BAD_REQUEST, "resource_missing"),
        ),
        (400, {"code": "rate_limit"}, Unavailable("too many requests: rate_limit")),
    ],
)
def test_f54_an_error_says_whether_something_was_done(
    status: int, error: dict[str, Any], kind: object
) -> None:
    assert objects.failed(status, error, ORDER) == kind


@pytest.mark.parametrize(
    ("status", "error"),
    [
        # The first call under this key is still at work.
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}),
        (400, {"type": "idempotency_error", "code": "idempotency_key_in_use"}),
        (400, {"type": "api_error"}),
        (402, {"type": "new_error"}),
        (424, {"type": "invalid_request_error"}),
        (402, {"type": "card_error", "payment_intent": {"transfer_group": "seatstream-other"}}),
        (400, {"code": "payment_intent_unexpected_state"}),
        (400, None),
        (400, "invalid_grant"),
    ],
)
def test_f54_an_error_that_says_nothing_of_it_leaves_it_unknown(
    status: int, error: object
) -> None:
    assert isinstance(objects.failed(status, error, ORDER), Unknown)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("processing", Pending),
        ("requires_action", Pending),
        ("requires_confirmation", Pending),
        ("requires_capture", Pending),
        ("canceled", Declined),
        ("requires_payment_method", Declined),
        ("new_word", Unknown),
        (None, Unknown),
    ],
)
def test_a_confirmed_intent_is_what_its_state_says(state: str | None, kind: type[Any]) -> None:
    intent = {"id": "pi_1", "status": state, "transfer_group": GROUP}
    assert type(objects.confirmed(intent, ORDER)) is kind
    assert isinstance(objects.confirmed(intent, "another"), Unknown)


def test_b58_a_charge_of_another_order_or_intent_pays_nothing() -> None:
    intent = {"id": "pi_1", "status": "succeeded", "transfer_group": GROUP}
    good = {**intent, "latest_charge": charge()}
    assert isinstance(objects.confirmed(good, ORDER), Captured)
    for other in (
        charge(payment_intent="pi_2"),
        charge(transfer_group="seatstream-another"),
        charge(status="pending"),
        "ch_1",
        None,
    ):
        assert isinstance(objects.confirmed({**intent, "latest_charge": other}, ORDER), Unknown)
    assert isinstance(objects.confirmed({**good, "transfer_group": None}, ORDER), Unknown)


@pytest.mark.parametrize(
    "other",
    [{"amount": 1251}, {"currency": "usd"}, {"transfer_group": "x"}, {"id": "../x"}, {"id": None}],
)
def test_an_intent_for_something_else_is_not_confirmed(other: dict[str, Any]) -> None:
    intent = {"id": "pi_1", "amount": 1250, "currency": "eur", "transfer_group": GROUP}
    assert objects.created(intent, ORDER, 1250, "EUR") == "pi_1"
    assert isinstance(objects.created({**intent, **other}, ORDER, 1250, "EUR"), Unknown)


def test_f61_a_refund_is_known_by_its_key_and_made_where_the_money_is() -> None:
    assert objects.refund_known(listed(charge()), REFUND) is None
    assert isinstance(objects.refund_known(listed(BACK), REFUND), Refunded)
    theirs = charge(
        refunded=True,
        amount_refunded=1250,
        refunds={"data": [made(metadata={"seatstream_order": ORDER, "seatstream_key": "other"})]},
    )
    already = Refused(RefusedReason.ALREADY_REFUNDED)
    assert objects.refund_known(listed(theirs), REFUND) == already
    assert objects.refund_known(listed(FAILED), REFUND) == NotFound()
    assert objects.refund_known(listed(), REFUND) == NotFound()


@settings(max_examples=40)
@given(JSON)
def test_whatever_it_is_it_has_an_answer_and_no_money_comes_of_it(fields: Any) -> None:
    moved = (Captured, Refunded)
    given = fields if isinstance(fields, dict) else {"data": fields}
    assert not isinstance(objects.standing(given, ORDER), moved)
    assert not isinstance(objects.confirmed(given, ORDER), moved)
    assert not isinstance(objects.given_back(given, REFUND), moved)
    assert objects.refund_known(given, REFUND) is not None
    assert isinstance(objects.created(given, ORDER, 1250, "EUR"), Unknown)
    for status in (200, 400, 402, 404, 409):
        objects.failed(status, fields, ORDER)


@given(st.integers(0, 2**31), st.integers(0, 511))
def test_an_order_is_found_in_its_group(epoch: int, partition: int) -> None:
    order = Order("res_A-9", epoch, partition).id
    assert objects.order_of({"transfer_group": objects.group_of(order)}) == order
