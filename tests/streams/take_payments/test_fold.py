"""What sections are told, until they answer."""

import pytest
from support.payments.paying import (
    WAYS,
    Paying,
    check,
    names,
    sold,
)

from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Finding, Heard, Question, Say
from state.domain.reasons import Reason
from state.domain.reservation import SaleDecision
from streams.patience import TELL_AGAIN_MS, TELL_AGAIN_MS_MAX, UNDECIDED_MS

P = PurchaseStatus


def told(way: Say) -> Paying:
    """Return a payment whose section is told that, for the first time."""
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
    return paying


@pytest.mark.parametrize("way", list(WAYS))
def test_a_section_that_does_not_answer_is_told_again_until_it_does(way: Say) -> None:
    paying = told(way)
    [*_, first] = paying.commands()
    began_ms = paying.now_ms
    for _ in range(3):
        # The pause doubles; ticks come every 50 s.
        paying.pass_to(paying.now_ms + (paying.now_ms - began_ms) + TELL_AGAIN_MS + 50_000)
        assert paying.commands()[-1] == first
    assert first.name == WAYS[way]
    # What nobody has decided is no answer.
    paying.decided(way, SaleDecision.REFUSED, reason=Reason.INTERNAL)
    paying.pass_to(paying.now_ms + (paying.now_ms - began_ms) + 50_000)
    assert names(paying)
    decisions = {Say.SELL_SEATS: SaleDecision.SOLD, Say.RELEASE_SEATS: SaleDecision.RELEASED}
    paying.decided(way, decisions.get(way, SaleDecision.REFUNDED))
    paying.pass_to(paying.now_ms + (paying.now_ms - began_ms) + 3 * TELL_AGAIN_MS)
    assert names(paying) == []
    check(paying)


def test_a_section_that_is_away_for_a_day_is_told_some_thirty_times() -> None:
    paying = Paying()
    paying.start()
    paying.captures()
    paying.pass_to(paying.now_ms + 24 * TELL_AGAIN_MS_MAX)
    told = names(paying)
    assert set(told) == {"ConfirmReservation"}
    assert 24 <= len(told) < 40
    paying.sold()
    assert paying.status() == P.DONE
    check(paying)


@pytest.mark.parametrize("way", list(WAYS))
def test_f17_a_section_that_is_killed_by_what_it_is_told_is_left_to_a_person(way: Say) -> None:
    paying = told(way)
    began_ms, kills = paying.now_ms, 0
    paying.commands()
    paying.decided(way, SaleDecision.REFUSED, reason=Reason.INTERNAL)
    while paying.status() != P.COMPENSATION_REQUIRED:
        paying.pass_to(paying.now_ms + 50_000)
        for _ in paying.commands():
            kills += 1
            paying.decided(way, SaleDecision.REFUSED, reason=Reason.INTERNAL)
        assert kills < 10
    assert paying.now_ms >= began_ms + UNDECIDED_MS
    paying.pass_to(paying.now_ms + 2 * TELL_AGAIN_MS_MAX)
    assert names(paying) == []
    # Whatever a person finds, the section is told once more.
    paying.resolve(Finding.FOUND_UNPAID if way == Say.RELEASE_SEATS else Finding.REFUNDED)
    expected = "RefundSeats" if way == Say.TAKE_SEATS_BACK else "FailPayment"
    assert names(paying) == [expected]
    check(paying)


def test_f17_once_its_section_can_decide_the_seats_of_a_payment_are_sold_after_all() -> None:
    paying = Paying()
    paying.start()
    paying.captures()
    paying.decided(Say.SELL_SEATS, SaleDecision.REFUSED, reason=Reason.INTERNAL)
    paying.pass_to(paying.now_ms + UNDECIDED_MS)
    paying.decided(Say.SELL_SEATS, SaleDecision.REFUSED, reason=Reason.INTERNAL)
    assert paying.status() == P.COMPENSATION_REQUIRED
    paying.commands()
    paying.resolve(Finding.LOOK_AGAIN)
    assert (paying.status(), paying.question()) == (P.COMPENSATION_REQUIRED, Question.VERIFY)
    assert names(paying) == []
    paying.captures()
    assert names(paying) == ["ConfirmReservation"]
    paying.sold()
    assert paying.status() == P.DONE
    check(paying)


@pytest.mark.parametrize("way", list(WAYS))
def test_f17_a_section_has_its_time_from_when_it_first_said_that_it_cannot_decide(
    way: Say,
) -> None:
    paying = told(way)
    # It was away for long, and then begins to die.
    paying.pass_to(paying.now_ms + 3 * UNDECIDED_MS)
    before = paying.status()
    began_ms = paying.now_ms
    while paying.now_ms < began_ms + UNDECIDED_MS:
        paying.decided(way, SaleDecision.REFUSED, reason=Reason.INTERNAL)
        assert paying.status() == before
        paying.pass_to(paying.now_ms + 50_000)
    paying.decided(way, SaleDecision.REFUSED, reason=Reason.INTERNAL)
    assert paying.status() == P.COMPENSATION_REQUIRED
    check(paying)


def test_pauses_grow_from_when_the_telling_began_whatever_the_age_of_the_status() -> None:
    paying = Paying()
    paying.start()
    paying.captures()
    paying.decided(Say.SELL_SEATS, SaleDecision.REFUSED, reason=Reason.REFUND_DUE)
    paying.says(Heard.REFUNDED)
    paying.pass_to(paying.now_ms + 2 * TELL_AGAIN_MS_MAX)
    paying.commands()
    # A second word of long ago is decided, and its seats have to come back.
    paying.sold()
    paying.pass_to(paying.now_ms + TELL_AGAIN_MS + 50_000)
    assert names(paying) == ["RefundSeats", "RefundSeats"]


def test_a_sale_that_goes_on_after_its_refund_was_refused_keeps_its_booking_number() -> None:
    paying = sold()
    before = paying.record()
    assert before is not None
    paying.refund()
    paying.says(Heard.REFUSED)
    assert paying.status() == P.COMPENSATION_REQUIRED
    paying.pass_to(paying.now_ms + 50_000)
    paying.resolve(Finding.LOOK_AGAIN)
    paying.captures()
    paying.sold()
    after = paying.record()
    assert after is not None
    assert (paying.status(), after.booking_number) == (P.DONE, before.booking_number)
    check(paying)


def test_f17_money_goes_back_before_a_section_that_is_killed_is_left_to_a_person() -> None:
    paying = Paying()
    paying.start()
    paying.captures(amount=1)
    paying.pass_to(paying.now_ms + UNDECIDED_MS)
    paying.decided(Say.RELEASE_SEATS, SaleDecision.REFUSED, reason=Reason.INTERNAL)
    assert paying.status() == P.REFUND_DUE
    paying.says(Heard.REFUNDED)
    paying.pass_to(paying.now_ms + UNDECIDED_MS)
    paying.decided(Say.RELEASE_SEATS, SaleDecision.REFUSED, reason=Reason.INTERNAL)
    assert paying.status() == P.COMPENSATION_REQUIRED
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
