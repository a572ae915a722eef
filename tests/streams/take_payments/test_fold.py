"""What sections are told, until they answer."""

import pytest
from support.payments.paying import (
    WAYS,
    Paying,
    check,
    names,
)

from state.domain.purchase import (
    Heard,
    PurchaseStatus,
    Say,
)
from state.domain.reasons import Reason
from state.domain.reservation import SaleDecision
from streams.take_payments.fold import TELL_AGAIN_MS

P = PurchaseStatus


@pytest.mark.parametrize("way", list(WAYS))
def test_a_section_that_does_not_answer_is_told_again_until_it_does(way: Say) -> None:
    paying = Paying()
    paying.start()
    if way == Say.RELEASE_SEATS:
        paying.says(Heard.DECLINED)
    else:
        paying.captures()
    if way == Say.TAKE_SEATS_BACK:
        paying.sold()
        paying.refund()
        paying.says(Heard.REFUNDED)
    [*_, first] = paying.commands()
    for _ in range(3):
        paying.pass_to(paying.now_ms + TELL_AGAIN_MS + 50_000)
        assert paying.commands()[-1] == first
    assert first.name == WAYS[way]
    # What nobody has decided is no answer.
    paying.decided(way, SaleDecision.REFUSED, reason=Reason.INTERNAL)
    paying.pass_to(paying.now_ms + TELL_AGAIN_MS + 50_000)
    assert names(paying)
    decisions = {Say.SELL_SEATS: SaleDecision.SOLD, Say.RELEASE_SEATS: SaleDecision.RELEASED}
    paying.decided(way, decisions.get(way, SaleDecision.REFUNDED))
    paying.pass_to(paying.now_ms + 3 * TELL_AGAIN_MS)
    assert names(paying) == []
    check(paying)


def test_a_refusal_of_something_else_is_no_refusal_to_sell() -> None:
    paying = Paying()
    paying.start()
    paying.captures()
    refused = SaleDecision.REFUSED
    paying.decided(Say.RELEASE_SEATS, refused, reason=Reason.PAYMENT_FAILED)
    paying.decided(Say.SELL_SEATS, refused, reason=Reason.STALE_EPOCH, epoch=2)
    stranger = paying.identity("r1", "eve")
    paying.decided(Say.SELL_SEATS, refused, reason=Reason.FORBIDDEN, identity=stranger)
    assert paying.status() == P.CAPTURED
    paying.sold()
    assert paying.status() == P.DONE
    # A refusal that comes behind the sale undoes nothing.
    paying.decided(Say.SELL_SEATS, refused, reason=Reason.REFUND_DUE)
    assert paying.status() == P.DONE
    check(paying)


@pytest.mark.parametrize("is_late", [False, True])
def test_f57_seats_sold_by_a_second_word_go_back_after_their_money(is_late: bool) -> None:
    paying = Paying()
    paying.start()
    paying.captures()
    paying.pass_to(paying.now_ms + TELL_AGAIN_MS + 50_000)
    assert names(paying)[:2] == ["ConfirmReservation"] * 2
    paying.decided(Say.SELL_SEATS, SaleDecision.REFUSED, reason=Reason.REFUND_DUE)
    if is_late:
        paying.says(Heard.REFUNDED)
    paying.sold()
    if not is_late:
        paying.says(Heard.REFUNDED)
    assert names(paying) == ["RefundSeats"]
    paying.sold()
    assert names(paying) == []
    check(paying)
