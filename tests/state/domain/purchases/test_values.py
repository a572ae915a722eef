"""The values of a purchase by themselves."""

import re

import pytest

from state.domain.purchases.statuses import PurchaseStatus, Turn
from state.domain.purchases.values import Purchase, booking_number, given_up, turned
from state.domain.transitions import IllegalTransition


def purchase(status: PurchaseStatus) -> Purchase:
    return Purchase(12_500, b"EUR", 1_900_000, status)


def test_a_turn_that_the_table_does_not_know_is_a_mistake_of_ours() -> None:
    captured = turned(purchase(PurchaseStatus.PENDING), Turn.CAPTURED)
    assert captured == purchase(PurchaseStatus.CAPTURED)
    with pytest.raises(IllegalTransition):
        turned(captured, Turn.CAPTURED)


def test_what_a_person_looks_after_already_is_not_given_up_again() -> None:
    lost = given_up(purchase(PurchaseStatus.REFUND_DUE))
    assert lost.status == PurchaseStatus.COMPENSATION_REQUIRED
    assert given_up(lost) is lost


def test_a_booking_number_is_the_time_to_base_36_and_eight_digits_of_the_order() -> None:
    # 36^2 + 2 * 36 + 11, worked out by hand.
    number = booking_number("r1", 1_379)
    assert re.fullmatch("BK-12B-[0-9A-F]{8}", number)
    assert booking_number("r1", 0).startswith("BK-0-")
    assert booking_number("r2", 1_379) != number
