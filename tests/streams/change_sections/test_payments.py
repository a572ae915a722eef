"""Payments for reservations, as the section decides them."""

from support.seats.section_commands import hold, opened, start_payment

from state.domain.reasons import Reason


def test_what_has_no_price_is_not_paid_for() -> None:
    partition = opened("....")
    partition.send(hold("r1", 2))
    assert partition.send(start_payment("r1"))[0].reason is Reason.NOT_PRICED
