from dataclasses import replace

import pytest

from infra.gateway.books import (
    Books,
    ChargeRequest,
    Entry,
    Outcome,
    RefundRequest,
    Refusal,
    erring,
)

CHARGE = ChargeRequest(order_id="o", amount=100, currency="EUR", method="card", parameters={})
REFUND = RefundRequest(order_id="o", amount=100, currency="EUR")


def kept(books: Books, decided: Entry | Refusal) -> Entry:
    assert isinstance(decided, Entry)
    if books.is_new(decided):
        books.keep(decided)
    return decided


def test_f52_the_same_key_and_request_have_the_same_answer() -> None:
    books = Books()
    first = kept(books, books.charge(CHARGE, "k", 1))
    assert books.charge(CHARGE, "k", 2, Outcome.DECLINED) == first


@pytest.mark.parametrize(
    "other",
    [
        replace(CHARGE, amount=101),
        replace(CHARGE, currency="USD"),
        replace(CHARGE, order_id="p"),
        replace(CHARGE, parameters={"token": "x"}),
    ],
)
def test_b68_the_same_key_with_another_request_is_refused(other: ChargeRequest) -> None:
    books = Books()
    kept(books, books.charge(CHARGE, "k", 1))
    assert books.charge(other, "k", 2) is Refusal.KEY_REUSED


def test_a_key_of_a_charge_is_none_of_a_refund() -> None:
    books = Books()
    kept(books, books.charge(CHARGE, "k", 1))
    assert books.refund(REFUND, "k", 2) is Refusal.KEY_REUSED


def test_i11_an_order_is_captured_once_under_whatever_key() -> None:
    books = Books()
    kept(books, books.charge(CHARGE, "k", 1))
    assert books.charge(CHARGE, "k2", 2) is Refusal.ALREADY_CAPTURED
    kept(books, books.refund(REFUND, "r", 3))
    assert books.charge(CHARGE, "k3", 4) is Refusal.ALREADY_CAPTURED


def test_a_declined_order_may_be_charged_under_another_key_and_not_under_the_same() -> None:
    books = Books()
    declined = kept(books, books.charge(CHARGE, "k", 1, Outcome.DECLINED, "CARD_DECLINED"))
    assert declined.amount == 0
    assert kept(books, books.charge(CHARGE, "k2", 2)).outcome is Outcome.CAPTURED
    assert books.charge(CHARGE, "k", 3) == declined


def test_a_pending_order_is_open_until_it_is_settled() -> None:
    books = Books()
    pending = kept(books, books.charge(CHARGE, "k", 1, Outcome.PENDING))
    assert books.charge(CHARGE, "k2", 2) is Refusal.STILL_PENDING
    assert books.refund(REFUND, "r", 3) is Refusal.NOT_FOUND
    settled = kept(books, books.settle("o", 4, Outcome.CAPTURED))
    assert (settled.amount, settled.payment_id) == (100, pending.payment_id)
    assert books.charge(CHARGE, "k", 5) == pending
    assert books.standing("o") == settled
    assert books.settle("o", 6, Outcome.DECLINED) is Refusal.NOT_FOUND


def test_what_was_captured_is_given_back_as_a_whole_once() -> None:
    books = Books()
    kept(books, books.charge(CHARGE, "k", 1))
    assert books.refund(replace(REFUND, amount=99), "r", 2) is Refusal.PARTIAL_REFUND
    assert books.refund(replace(REFUND, currency="USD"), "r", 2) is Refusal.PARTIAL_REFUND
    # What was refused has taken no key.
    refunded = kept(books, books.refund(REFUND, "r", 3))
    assert books.refund(REFUND, "r", 4) == refunded
    assert books.refund(REFUND, "r2", 5) is Refusal.ALREADY_REFUNDED


def test_a_refund_of_nothing_is_refused() -> None:
    books = Books()
    assert books.refund(REFUND, "r", 1) is Refusal.NOT_FOUND
    kept(books, books.charge(CHARGE, "k", 2, Outcome.DECLINED))
    assert books.refund(REFUND, "r", 3) is Refusal.NOT_FOUND


def test_f59_another_amount_or_currency_is_what_is_captured_and_given_back() -> None:
    books = Books()
    decided = books.charge(CHARGE, "k", 1)
    assert isinstance(decided, Entry)
    wrong = kept(books, erring(decided, amount=True, currency=True))
    assert (wrong.amount, wrong.currency) == (101, "USD")
    assert books.charge(CHARGE, "k", 2) == wrong
    assert books.refund(REFUND, "r", 3) is Refusal.PARTIAL_REFUND
    whole = RefundRequest(order_id="o", amount=101, currency="USD")
    assert kept(books, books.refund(whole, "r", 4)).outcome is Outcome.REFUNDED
