"""A start of a payment is told again only to who asks for the same."""

from typing import Any

import pytest

from scripts.auditing.oracle.words import (
    Reservation,
    is_free,
    is_of,
    price_told,
    started_before,
)

ASKED = {"userId": "ann", "section": "A", "eventId": 7}


def held(status: str = "PAYING", amount: int = 5, reservation_id: str = "r-1") -> Reservation:
    request = {**ASKED, "reservationId": reservation_id, "correlationId": "c-1"}
    record = {"request": request, "status": status, "amount": amount, "currency": "EUR"}
    first: Any = ("SeatsHeld", {})
    return Reservation(record, [], first, first)


def started(**changed: Any) -> Any:
    fields = {"epoch": 1, "gateway": "mock", "request": {"correlationId": "c-9"}}
    return "PaymentStarted", {**fields, **changed}


def test_a_reservation_is_its_buyers_of_its_section() -> None:
    assert is_of(held(), ASKED)
    assert not is_of(held(), ASKED | {"userId": "bob"})
    assert not is_of(held(), ASKED | {"section": "B"})


def test_what_costs_nothing_is_sold_without_a_payment_unless_it_is_of_a_cart() -> None:
    assert is_free(held(amount=0).record)
    assert not is_free(held().record)
    assert not is_free(held(amount=0, reservation_id="abcdefghijklmnopqrstuvwxyz-7_0").record)
    assert not is_free(held(amount=0).record | {"currency": ""})
    assert price_told(held().record) == {"amount": 5, "currency": "EUR"}


@pytest.mark.parametrize(
    ("status", "asked", "is_same"),
    [
        ("PAYING", started()[1], True),
        ("PAYING", started(epoch=2)[1], False),
        ("PAYING", started(gateway="other")[1], False),
        # Over already: only a repeat of that very request is told of it.
        ("SOLD", started()[1], True),
        ("SOLD", started(request={"correlationId": "c-8"})[1], False),
        ("PAYING", started(request={"correlationId": "c-8"})[1], True),
    ],
)
def test_a_start_is_known_by_epoch_gateway_and_request(
    status: str, asked: dict[str, Any], is_same: bool
) -> None:
    reservation = held(status)
    assert started_before(reservation, asked) is None
    reservation.started = started()
    assert (started_before(reservation, asked) is not None) is is_same
