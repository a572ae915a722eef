"""A purchase beside a gateway that loses answers, and a section that may have sold its seats."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole

from state.domain.purchases.life import (
    after_answer,
    after_finding,
    after_hint,
    after_no_decision,
    after_refund_asked,
    after_sale_without_money,
    after_seats_lost,
    after_seats_sold,
    begin,
    begin_claimed,
    without_charge,
)
from state.domain.purchases.questions import (
    LAST_LOOK_MS,
    LATE_RETRIES,
    REFUND_RETRIES,
    WAIT_RETRIES,
)
from state.domain.purchases.statuses import TRANSITIONS, PurchaseStatus, Turn
from state.domain.purchases.values import Answer, Finding, Followed, Heard, Purchase, Question, Say

P, T, F = PurchaseStatus, Turn, Finding
NOW, DEADLINE = 1_000_000, 1_900_000
PRICE, EUR = 12_500, b"EUR"

# --- by hand ---------------------------------------------------------------------------------


def started() -> Purchase:
    return begin(PRICE, EUR, DEADLINE, NOW)


def answer(purchase: Purchase, heard: Heard, now_ms: int = NOW, amount: int = PRICE) -> Followed:
    """Answer the open question; of a capture, with this amount."""
    assert purchase.asking is not None
    number = purchase.asking.number
    if heard == Heard.CAPTURED:
        return after_answer(purchase, Answer(number, heard, amount, EUR, b"ch_1"), now_ms)
    return after_answer(purchase, Answer(number, heard), now_ms)


def question(purchase: Purchase) -> tuple[Question, int] | None:
    """Return what is asked and when."""
    asking = purchase.asking
    return None if asking is None else (asking.question, asking.due_ms)


def lost() -> Purchase:
    """Return a purchase of which a person has to find out what became of its money."""
    return answer(started(), Heard.ANOTHERS).purchase


def test_a_captured_charge_sells_the_seats_and_is_done_once_they_are_sold() -> None:
    purchase, say = answer(started(), Heard.CAPTURED)
    assert (purchase.status, say) == (P.CAPTURED, Say.SELL_SEATS)
    done = after_seats_sold(purchase).purchase
    assert (done.status, done.is_sold, done.asking) == (P.DONE, True, None)


def test_a_start_at_the_deadline_calls_nobody() -> None:
    late = begin(PRICE, EUR, DEADLINE, DEADLINE)
    assert (late.status, late.asking) == (P.EXPIRED, None)


@pytest.mark.parametrize("heard", [Heard.DECLINED, Heard.REFUNDED])
def test_a_gateway_that_took_nothing_gives_the_seats_back(heard: Heard) -> None:
    purchase, say = answer(started(), heard)
    assert (purchase.status, say, purchase.asking) == (P.FAILED, Say.RELEASE_SEATS, None)


def test_f53_a_refused_charge_is_looked_up_for_who_asked_before_may_have_been_heard() -> None:
    refused, say = answer(started(), Heard.REFUSED)
    assert (refused.status, say) == (P.FAILED, Say.RELEASE_SEATS)
    assert question(refused) == (Question.VERIFY, NOW)
    found = answer(refused, Heard.CAPTURED)
    assert (found.purchase.status, found.say) == (P.CAPTURED, Say.SELL_SEATS)
    # What is still on its way has come when it is looked for the last time.
    again = answer(refused, Heard.NOT_FOUND).purchase
    assert question(again) == (Question.VERIFY, DEADLINE + LAST_LOOK_MS)
    last = answer(again, Heard.NOT_FOUND, DEADLINE + LAST_LOOK_MS)
    assert (last.purchase.status, last.purchase.asking, last.say) == (P.FAILED, None, None)


def test_what_nobody_may_be_asked_for_fails_without_a_look() -> None:
    failed, say = without_charge(started())
    assert (failed.status, say, failed.asking) == (P.FAILED, Say.RELEASE_SEATS, None)


def test_f53_a_charge_without_an_answer_is_looked_up_and_then_asked_with_the_same_key() -> None:
    open_one = answer(started(), Heard.OPEN)
    assert (open_one.purchase.status, open_one.say) == (P.PROCESSING, None)
    assert question(open_one.purchase) == (Question.VERIFY, NOW + 1_000)
    again = answer(open_one.purchase, Heard.NOT_FOUND).purchase
    # It was not asked before its time, whatever the log's time says.
    assert question(again) == (Question.CHARGE, NOW + 1_000)
    assert answer(again, Heard.CAPTURED).say == Say.SELL_SEATS


def test_f54_what_was_not_done_is_tried_again_with_growing_pauses() -> None:
    purchase = started()
    pauses: list[int] = []
    for _ in range(7):
        purchase = answer(purchase, Heard.NOT_DONE).purchase
        assert purchase.asking is not None
        assert purchase.asking.question == Question.CHARGE
        pauses.append(purchase.asking.due_ms - NOW - sum(pauses))
    assert pauses == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
    assert purchase.status == P.PENDING


@pytest.mark.parametrize("heard", [Heard.OPEN, Heard.NOT_DONE])
def test_seats_are_never_given_back_before_the_gateway_has_said_that_it_has_no_money(
    heard: Heard,
) -> None:
    followed = answer(started(), heard, DEADLINE)
    assert followed.say is None
    assert question(followed.purchase) == (Question.VERIFY, DEADLINE + 1_000)
    expired = answer(followed.purchase, Heard.NOT_FOUND, DEADLINE + 1_000)
    assert (expired.purchase.status, expired.say) == (P.EXPIRED, Say.RELEASE_SEATS)
    # A charge that was still on its way is found by the last look.
    assert question(expired.purchase) == (Question.VERIFY, DEADLINE + 1_000 + LAST_LOOK_MS)
    late = answer(expired.purchase, Heard.CAPTURED)
    assert (late.purchase.status, late.say) == (P.CAPTURED, Say.SELL_SEATS)
    assert answer(expired.purchase, Heard.NOT_FOUND, DEADLINE + LAST_LOOK_MS) == (
        expired.purchase._replace(asking=None),
        None,
    )


def test_f60_a_clock_that_is_ahead_ends_no_payment_whose_time_is_not_over_by_the_log() -> None:
    purchase = answer(started(), Heard.OPEN).purchase
    ahead_ms = NOW + 7_200_000
    calls = 0
    while purchase.asking is not None and purchase.asking.due_ms <= ahead_ms:
        # The log's time stands: not a millisecond of the payment's has passed.
        is_charge = purchase.asking.question == Question.CHARGE
        assert not is_charge or purchase.asking.due_ms < DEADLINE
        purchase, say = answer(purchase, Heard.OPEN if is_charge else Heard.NOT_FOUND)
        assert (purchase.status, say) == (P.PROCESSING, None)
        calls += 1
    # Nor is the gateway asked without a pause.
    assert calls < 100
    expired = answer(purchase, Heard.NOT_FOUND, DEADLINE)
    assert (expired.purchase.status, expired.say) == (P.EXPIRED, Say.RELEASE_SEATS)
    assert question(expired.purchase) == (Question.VERIFY, DEADLINE + LAST_LOOK_MS)


def test_a_clock_that_is_ahead_does_not_make_a_look_the_last() -> None:
    open_one = answer(started(), Heard.OPEN, DEADLINE).purchase
    purchase = answer(open_one, Heard.NOT_FOUND, DEADLINE).purchase
    for number in range(5):
        purchase, say = answer(purchase, Heard.NOT_FOUND, DEADLINE + number)
        assert (purchase.status, say) == (P.EXPIRED, None)
        assert purchase.asking is not None
    assert answer(purchase, Heard.NOT_FOUND, DEADLINE + LAST_LOOK_MS).purchase.asking is None


def test_a_last_look_that_nobody_answers_is_left_to_a_person() -> None:
    open_one = answer(started(), Heard.OPEN, DEADLINE).purchase
    purchase = answer(open_one, Heard.NOT_FOUND, DEADLINE).purchase
    for _ in range(WAIT_RETRIES.most - 1):
        purchase = answer(purchase, Heard.OPEN).purchase
        assert (purchase.status, purchase.asking is None) == (P.EXPIRED, False)
    # F60: an outage of a day is waited for.
    assert purchase.asking is not None
    assert purchase.asking.due_ms > DEADLINE + 80_000_000
    purchase, say = answer(purchase, Heard.NOT_DONE)
    assert (purchase.status, say, purchase.asking) == (P.COMPENSATION_REQUIRED, None, None)


def test_a_hint_before_the_last_look_does_not_take_its_place() -> None:
    open_one = answer(started(), Heard.OPEN, DEADLINE).purchase
    expired = answer(open_one, Heard.NOT_FOUND, DEADLINE).purchase
    asked = after_hint(expired, DEADLINE + 2_000).purchase
    assert question(asked) == (Question.VERIFY, DEADLINE + 2_000)
    looks = answer(asked, Heard.NOT_FOUND, DEADLINE + 3_000).purchase
    assert question(looks) == (Question.VERIFY, DEADLINE + LAST_LOOK_MS)
    assert answer(looks, Heard.NOT_FOUND, DEADLINE + LAST_LOOK_MS).purchase.asking is None


def test_a_gateway_that_wants_to_be_left_alone_is_for_a_minute_at_most() -> None:
    for wait_ms, pause_ms in ((0, 1_000), (5_000, 5_000), (3_600_000, 60_000)):
        sent_away = Answer(1, Heard.NOT_DONE, wait_ms=wait_ms)
        again = after_answer(started(), sent_away, NOW).purchase
        assert question(again) == (Question.CHARGE, NOW + pause_ms)


@pytest.mark.parametrize("now_ms", [NOW, DEADLINE])
def test_a_capture_of_another_purchase_sells_nothing_and_is_left_to_a_person(now_ms: int) -> None:
    for purchase in (
        started(),
        answer(started(), Heard.OPEN).purchase,
        answer(answer(started(), Heard.OPEN, DEADLINE).purchase, Heard.NOT_FOUND).purchase,
    ):
        strange, say = answer(purchase, Heard.ANOTHERS, now_ms)
        assert (strange.status, say, strange.asking) == (P.COMPENSATION_REQUIRED, None, None)
        asked = after_hint(strange, now_ms).purchase
        assert answer(asked, Heard.ANOTHERS).purchase.status == P.COMPENSATION_REQUIRED


def test_f57_seats_that_were_sold_while_their_money_went_back_are_given_back_too() -> None:
    due = after_seats_lost(answer(started(), Heard.CAPTURED).purchase, NOW).purchase
    # The section was asked twice, and has found the seats free the second time.
    sold, say = after_seats_sold(due)
    assert (sold.status, say) == (P.REFUND_DUE, None)
    assert answer(sold, Heard.REFUNDED).say == Say.TAKE_SEATS_BACK
    refunded = answer(due, Heard.REFUNDED).purchase
    sold, say = after_seats_sold(refunded)
    assert (sold.status, say) == (P.REFUNDED, Say.TAKE_SEATS_BACK)
    assert after_seats_sold(sold) == (sold, None)


def test_a_gateway_that_never_answers_again_is_left_to_a_person_with_the_seats_kept() -> None:
    purchase = answer(started(), Heard.OPEN).purchase
    for _ in range(LATE_RETRIES.most):
        purchase, say = answer(purchase, Heard.NOT_DONE, DEADLINE)
        assert (purchase.status, say) == (P.PROCESSING, None)
    # F60: an outage of an hour is waited for.
    assert purchase.asking is not None
    assert purchase.asking.due_ms > DEADLINE + 3_600_000
    purchase, say = answer(purchase, Heard.OPEN, DEADLINE)
    assert (purchase.status, say, purchase.asking) == (P.COMPENSATION_REQUIRED, None, None)
    found = after_finding(purchase, F.FOUND_UNPAID, NOW)
    assert (found.purchase.status, found.say) == (P.FAILED, Say.RELEASE_SEATS)
    back = after_finding(purchase, F.REFUNDED, NOW)
    assert (back.purchase.status, back.say) == (P.REFUNDED, Say.RELEASE_SEATS)
    # A webhook that comes after all is asked about, too.
    assert question(after_hint(purchase, DEADLINE).purchase) == (Question.VERIFY, DEADLINE)


@pytest.mark.parametrize(("amount", "currency"), [(PRICE - 1, EUR), (PRICE, b"USD")])
def test_f59_another_amount_or_currency_sells_nothing_and_goes_back(
    amount: int, currency: bytes
) -> None:
    other = Answer(1, Heard.CAPTURED, amount, currency, b"ch_1")
    purchase, say = after_answer(started(), other, NOW)
    assert (purchase.status, say) == (P.REFUND_DUE, Say.RELEASE_SEATS)
    assert question(purchase) == (Question.REFUND, NOW)
    # What goes back is what came.
    assert (purchase.paid, purchase.paid_currency) == (amount, currency)


def test_f57_money_without_seats_goes_back() -> None:
    captured = answer(started(), Heard.CAPTURED).purchase
    due = after_seats_lost(captured, NOW).purchase
    assert (due.status, question(due)) == (P.REFUND_DUE, (Question.REFUND, NOW))
    refunded = answer(due, Heard.REFUNDED)
    assert (refunded.purchase.status, refunded.say) == (P.REFUNDED, None)


def test_a_refund_of_a_sale_gives_the_seats_back_after_the_money() -> None:
    done = after_seats_sold(answer(started(), Heard.CAPTURED).purchase).purchase
    asked = after_refund_asked(done, NOW)
    assert (asked.purchase.status, asked.say) == (P.REFUND_DUE, None)
    assert after_refund_asked(asked.purchase, NOW) == (asked.purchase, None)
    refunded = answer(asked.purchase, Heard.REFUNDED)
    assert (refunded.purchase.status, refunded.say) == (P.REFUNDED, Say.TAKE_SEATS_BACK)


def test_f61_a_refund_that_fails_is_tried_five_times_and_then_left_to_a_person() -> None:
    purchase = after_seats_lost(answer(started(), Heard.CAPTURED).purchase, NOW).purchase
    pauses: list[int] = []
    for _ in range(REFUND_RETRIES.most - 1):
        purchase = answer(purchase, Heard.OPEN).purchase
        assert purchase.asking is not None
        pauses.append(purchase.asking.due_ms - NOW - sum(pauses))
    assert pauses == [30_000, 60_000, 120_000, 240_000]
    purchase = answer(purchase, Heard.OPEN).purchase
    assert (purchase.status, purchase.asking) == (P.COMPENSATION_REQUIRED, None)
    # A capture is known: no hint asks again, and nobody can find it unpaid.
    assert after_hint(purchase, NOW).purchase == purchase
    assert after_finding(purchase, F.FOUND_UNPAID, NOW).purchase == purchase
    assert after_finding(purchase, F.REFUNDED, NOW).purchase.status == P.REFUNDED


def test_f61_an_outage_uses_up_no_try_of_a_refund_and_a_person_is_asked_after_a_day() -> None:
    purchase = after_seats_lost(answer(started(), Heard.CAPTURED).purchase, NOW).purchase
    for _ in range(REFUND_RETRIES.most - 1):
        purchase = answer(purchase, Heard.OPEN).purchase
    for _ in range(WAIT_RETRIES.most - 1):
        purchase = answer(purchase, Heard.NOT_DONE).purchase
        assert (purchase.status, question(purchase) is None) == (P.REFUND_DUE, False)
    assert purchase.asking is not None
    assert purchase.asking.due_ms > NOW + 80_000_000
    assert answer(purchase, Heard.REFUNDED).purchase.status == P.REFUNDED
    for last in (Heard.NOT_DONE, Heard.OPEN):
        given_up = answer(purchase, last).purchase
        assert (given_up.status, given_up.asking) == (P.COMPENSATION_REQUIRED, None)


def test_seats_that_are_sold_without_money_are_a_persons_who_may_take_them_back() -> None:
    failed = answer(started(), Heard.DECLINED).purchase
    sold, say = after_sale_without_money(failed)
    assert (sold.status, sold.is_sold, say) == (P.COMPENSATION_REQUIRED, True, None)
    for finding, status in ((F.FOUND_UNPAID, P.FAILED), (F.REFUNDED, P.REFUNDED)):
        found = after_finding(sold, finding, NOW)
        assert (found.purchase.status, found.say) == (status, Say.TAKE_SEATS_BACK)
    # A look that is open may still find the money.
    looking = after_sale_without_money(answer(started(), Heard.REFUSED).purchase).purchase
    assert answer(looking, Heard.CAPTURED).purchase.status == P.CAPTURED
    # Where money is there, or comes, nothing follows.
    captured = answer(started(), Heard.CAPTURED).purchase
    assert after_sale_without_money(captured) == (captured, None)


def test_a_refund_that_is_refused_is_left_to_a_person_at_once() -> None:
    purchase = after_seats_lost(answer(started(), Heard.CAPTURED).purchase, NOW).purchase
    refused = answer(purchase, Heard.REFUSED).purchase
    assert (refused.status, refused.asking) == (P.COMPENSATION_REQUIRED, None)


def test_f58_a_hint_asks_at_once_where_the_next_question_would_wait() -> None:
    waiting = answer(started(), Heard.OPEN).purchase
    assert question(after_hint(waiting, NOW).purchase) == (Question.VERIFY, NOW)


def flooded(purchase: Purchase) -> Purchase:
    """Return a purchase after so many hints as nobody needs."""
    for _ in range(1_000):
        purchase = after_hint(purchase, NOW).purchase
    return purchase


def test_f58_hints_while_a_charge_is_under_way_have_it_looked_for_once_when_it_is_declined() -> (
    None
):
    charging = flooded(started())
    # It is waited for, and what it finds is heard.
    assert charging.asking == started().asking
    assert answer(charging, Heard.CAPTURED).say == Say.SELL_SEATS
    declined, say = answer(charging, Heard.DECLINED)
    assert (declined.status, say) == (P.FAILED, Say.RELEASE_SEATS)
    # Money may have come while it was answered.
    assert question(declined) == (Question.VERIFY, NOW)
    assert answer(declined, Heard.CAPTURED).say == Say.SELL_SEATS
    assert answer(declined, Heard.DECLINED).purchase.asking is None


def test_f58_hints_while_a_look_is_under_way_drop_no_answer_and_lead_to_one_look_more() -> None:
    looking = after_hint(answer(started(), Heard.OPEN).purchase, NOW).purchase
    refused = answer(started(), Heard.REFUSED).purchase
    for purchase in (looking, refused, after_hint(lost(), NOW).purchase):
        again = flooded(purchase)
        assert again.asking == purchase.asking
        assert answer(again, Heard.CAPTURED).say == Say.SELL_SEATS
        # This may have been said before what the hints tell of happened.
        for heard in (Heard.NOT_FOUND, Heard.DECLINED):
            outdated = answer(again, heard)
            assert (outdated.purchase.status, outdated.say) == (purchase.status, None)
            assert question(outdated.purchase) == (Question.VERIFY, NOW)
            last = answer(outdated.purchase, heard).purchase
            assert question(last) != (Question.VERIFY, NOW)


@pytest.mark.parametrize("heard", [Heard.OPEN, Heard.NOT_DONE])
def test_f58_hints_do_not_use_up_the_patience_with_a_gateway_that_does_not_answer(
    heard: Heard,
) -> None:
    for purchase in (
        answer(started(), Heard.OPEN, DEADLINE).purchase,
        answer(
            answer(started(), Heard.OPEN, DEADLINE).purchase, Heard.NOT_FOUND, DEADLINE
        ).purchase,
    ):
        asked = purchase
        for _ in range(100):
            asked = answer(after_hint(asked, DEADLINE).purchase, heard, DEADLINE).purchase
        assert asked.status == purchase.status


@pytest.mark.parametrize("heard", [Heard.OPEN, Heard.NOT_DONE, Heard.REFUSED])
def test_f58_a_look_at_what_a_person_has_to_look_after_is_repeated_for_a_day(
    heard: Heard,
) -> None:
    looking = after_hint(lost(), NOW).purchase
    for _ in range(WAIT_RETRIES.most - 1):
        looking = answer(looking, heard).purchase
        assert looking.status == P.COMPENSATION_REQUIRED
        assert looking.asking is not None
    assert looking.asking is not None
    assert looking.asking.due_ms > NOW + 80_000_000
    assert answer(looking, Heard.CAPTURED).say == Say.SELL_SEATS
    assert answer(looking, heard).purchase.asking is None


def undecided_sale() -> Purchase:
    """Return a purchase whose money is there, and whose section could not decide."""
    return after_no_decision(answer(started(), Heard.CAPTURED).purchase)


def test_f17_money_that_a_section_could_not_decide_about_sells_the_seats_after_all() -> None:
    stuck = undecided_sale()
    assert stuck.status == P.COMPENSATION_REQUIRED
    looking = after_finding(stuck, F.LOOK_AGAIN, NOW).purchase
    assert (looking.status, question(looking)) == (stuck.status, (Question.VERIFY, NOW))
    told = answer(looking, Heard.CAPTURED)
    assert (told.purchase.status, told.say) == (P.CAPTURED, Say.SELL_SEATS)
    assert after_seats_sold(told.purchase).purchase.status == P.DONE
    assert after_seats_lost(told.purchase, NOW).purchase.status == P.REFUND_DUE
    # Somebody has given it back at the gateway meanwhile.
    back = answer(looking, Heard.REFUNDED)
    assert (back.purchase.status, back.say) == (P.REFUNDED, Say.RELEASE_SEATS)
    # Whatever else it says leaves it with a person.
    for heard in (Heard.NOT_FOUND, Heard.DECLINED, Heard.ANOTHERS, Heard.OPEN):
        assert answer(looking, heard).purchase.status == P.COMPENSATION_REQUIRED


def test_f61_a_refund_that_was_given_up_goes_on_by_what_the_gateway_says_now() -> None:
    due = after_seats_lost(answer(started(), Heard.CAPTURED).purchase, NOW).purchase
    looking = after_finding(answer(due, Heard.REFUSED).purchase, F.LOOK_AGAIN, NOW).purchase
    again = answer(looking, Heard.CAPTURED)
    assert (again.purchase.status, again.say) == (P.CAPTURED, Say.SELL_SEATS)
    assert question(after_seats_lost(again.purchase, NOW).purchase) == (Question.REFUND, NOW)
    other = answer(looking, Heard.CAPTURED, amount=1)
    assert (other.purchase.status, other.say) == (P.REFUND_DUE, Say.RELEASE_SEATS)


def test_seats_that_were_paid_for_elsewhere_stay_sold_and_money_that_comes_goes_back() -> None:
    failed = answer(started(), Heard.DECLINED).purchase
    # Nobody keeps seats that are not known to be sold.
    assert after_finding(lost(), F.PAID_ELSEWHERE, NOW) == (lost(), None)
    sold = after_hint(after_sale_without_money(failed).purchase, NOW).purchase
    # What became of the order here does not say who paid elsewhere.
    assert answer(sold, Heard.REFUNDED).purchase.status == P.COMPENSATION_REQUIRED
    kept, say = after_finding(sold, F.PAID_ELSEWHERE, NOW)
    assert (kept.status, say, kept.asking) == (P.FAILED, None, sold.asking)
    # What the section says to a word that was told before is no news.
    assert after_sale_without_money(kept) == (kept, None)
    late, say = answer(kept, Heard.CAPTURED)
    assert (late.status, say, question(late)) == (P.REFUND_DUE, None, (Question.REFUND, NOW))
    back = answer(late, Heard.REFUNDED)
    assert (back.purchase.status, back.say) == (P.REFUNDED, None)
    assert after_sale_without_money(back.purchase) == (back.purchase, None)
    given_up = answer(late, Heard.REFUSED).purchase
    for finding in (F.REFUNDED, F.PAID_ELSEWHERE, F.FOUND_UNPAID):
        assert after_finding(given_up, finding, NOW).say is None


def test_seats_that_another_has_sold_while_the_money_went_back_are_a_persons() -> None:
    differed = answer(started(), Heard.CAPTURED, amount=1).purchase
    # First the money.
    assert after_sale_without_money(differed) == (differed, None)
    refunded = answer(differed, Heard.REFUNDED).purchase
    sold, say = after_sale_without_money(refunded)
    assert (sold.status, sold.is_sold, say) == (P.COMPENSATION_REQUIRED, True, None)
    kept = after_finding(sold, F.PAID_ELSEWHERE, NOW)
    assert (kept.purchase.status, kept.say) == (P.REFUNDED, None)
    taken = after_finding(sold, F.REFUNDED, NOW)
    assert (taken.purchase.status, taken.say) == (P.REFUNDED, Say.TAKE_SEATS_BACK)
    assert after_sale_without_money(taken.purchase) == (taken.purchase, None)


@pytest.mark.parametrize("finding", list(Finding))
def test_a_finding_about_what_needs_no_person_changes_nothing(finding: Finding) -> None:
    for purchase in (started(), answer(started(), Heard.DECLINED).purchase):
        assert after_finding(purchase, finding, NOW) == (purchase, None)


def test_f58_a_finding_does_not_end_a_look_that_a_hint_has_begun() -> None:
    looking = after_hint(lost(), NOW).purchase
    failed, say = after_finding(looking, F.FOUND_UNPAID, NOW)
    assert (failed.status, say) == (P.FAILED, Say.RELEASE_SEATS)
    assert failed.asking == looking.asking
    late = answer(failed, Heard.CAPTURED)
    assert (late.purchase.status, late.say) == (P.CAPTURED, Say.SELL_SEATS)
    assert after_finding(looking, F.REFUNDED, NOW).purchase.asking is None


@pytest.mark.parametrize("heard", Heard)
def test_an_answer_that_nobody_waits_for_changes_nothing(heard: Heard) -> None:
    asked_again = answer(answer(started(), Heard.OPEN).purchase, Heard.NOT_FOUND).purchase
    for number in (0, 1, 2, 4):
        late = Answer(number, heard, PRICE, EUR, b"ch_1")
        assert after_answer(asked_again, late, NOW) == (asked_again, None)


# --- in any order ----------------------------------------------------------------------------


@dataclass
class World:
    """A purchase, its gateway's ledger, and its section, which hears everything in order.

    is_elsewhere: another shop has sold the seats, and has money for them.
    """

    purchase: Purchase = field(default_factory=started)
    now_ms: int = NOW
    captured: int = 0
    refunded: int = 0
    seats: str = "PAYING"
    are_taken: bool = False
    is_elsewhere: bool = False
    is_kept: bool = False
    # A webhook came while the open question was under way.
    is_hinted: bool = False
    told: list[Say] = field(default_factory=list)
    charges: int = 0
    # A charge that the gateway has not begun with, though its caller has given up.
    is_on_its_way: bool = False
    # What a look was told whose answer is not yet in the log, and its number.
    look: tuple[int, Heard] | None = None

    def follow(self, followed: Followed) -> None:
        before, self.purchase = self.purchase, followed.purchase
        if before.status != self.purchase.status:
            assert self.purchase.status in TRANSITIONS[before.status].values()
        if followed.say is not None:
            self.told.append(followed.say)

    def perform(self, amount: int) -> Heard:
        """Do what is asked, as a gateway that honours keys does."""
        assert self.purchase.asking is not None
        if self.is_on_its_way and self.now_ms >= DEADLINE + LAST_LOOK_MS:
            # The last look comes after all that could still be on its way.
            self.arrive()
        match self.purchase.asking.question:
            case Question.CHARGE:
                if not self.captured:
                    self.captured, self.charges = amount, self.charges + 1
            case Question.REFUND:
                self.refunded = self.captured
                return Heard.REFUNDED
        if not self.captured:
            return Heard.NOT_FOUND
        return Heard.REFUNDED if self.refunded else Heard.CAPTURED

    def arrive(self) -> None:
        """Let the gateway act on what was on its way."""
        self.is_on_its_way = False
        if not self.captured:
            self.captured, self.charges = PRICE, self.charges + 1

    def arrives_with_a_hint(self) -> None:
        """Let money come, of which a webhook tells."""
        self.arrive()
        self.hint()

    def hint(self) -> None:
        """Let a webhook come: it drops no answer that is under way, and asks nothing beside it."""
        before = self.purchase
        self.follow(after_hint(before, self.now_ms))
        is_under_way = before.asking is not None and before.asking.due_ms <= self.now_ms
        if is_under_way:
            assert self.purchase.asking == before.asking
        matters = not before.payment_id and before.status not in {P.REFUND_DUE, P.REFUNDED}
        assert not matters or self.purchase.asking is not None
        self.is_hinted |= is_under_way and matters

    def answer_look(self) -> None:
        """Append what a look was told, whatever has happened since."""
        assert self.look is not None
        (number, heard), self.look = self.look, None
        told = Answer(number, heard, self.captured, EUR, b"ch_1")
        before = self.purchase
        self.follow(after_answer(before, told, self.now_ms))
        self.is_hinted &= self.purchase == before

    def answer(self, heard: Heard) -> None:
        before = self.purchase
        assert before.asking is not None
        told = Answer(before.asking.number, heard, self.captured, EUR, b"ch_1")
        self.follow(after_answer(before, told, self.now_ms))
        # It may have been said before what was hinted at, or be no answer: somebody looks again.
        is_open = self.is_hinted and heard in {Heard.NOT_FOUND, Heard.DECLINED, Heard.REFUNDED}
        is_open |= before.status == P.COMPENSATION_REQUIRED and heard in {
            Heard.OPEN,
            Heard.NOT_DONE,
        }
        if is_open and before.tries < WAIT_RETRIES.most - 1:
            assert self.purchase.asking is not None
        self.is_hinted = False

    def hear(self) -> None:
        """Let the section act on the oldest word, and answer."""
        match self.told.pop(0):
            case Say.SELL_SEATS if self.seats in {"PAYING", "SOLD"} or (
                self.seats == "RELEASED" and not self.are_taken
            ):
                self.seats = "SOLD"
                self.follow(after_seats_sold(self.purchase))
            case Say.SELL_SEATS:
                self.follow(after_seats_lost(self.purchase, self.now_ms))
            case Say.RELEASE_SEATS if self.seats == "PAYING":
                self.seats = "RELEASED"
            case Say.RELEASE_SEATS if self.seats == "SOLD":
                if self.purchase.status == P.REFUND_DUE:
                    # It is told again.
                    self.told.append(Say.RELEASE_SEATS)
                self.follow(after_sale_without_money(self.purchase))
            case Say.TAKE_SEATS_BACK if self.seats == "SOLD":
                self.seats = "REFUNDED"

    def is_killed(self) -> None:
        """Let the section die of the oldest word for so long that a person is asked."""
        self.follow(Followed(after_no_decision(self.purchase)))
        if self.purchase.status == P.COMPENSATION_REQUIRED:
            self.told.pop(0)

    def find(self, finding: Finding) -> None:
        """Let a person bring about what he says, at the gateway, and say it."""
        if finding in {F.REFUNDED, F.PAID_ELSEWHERE}:
            self.refunded = self.captured
        self.is_kept |= finding == F.PAID_ELSEWHERE
        self.follow(after_finding(self.purchase, finding, self.now_ms))

    def findings(self) -> list[Finding]:
        """Return what an honest person may say."""
        is_unpaid = self.captured == self.refunded
        is_kept = self.is_elsewhere and self.seats == "SOLD" and self.purchase.is_sold
        return [
            F.LOOK_AGAIN,
            *([F.REFUNDED] if self.captured or self.purchase.payment_id else []),
            *([F.FOUND_UNPAID] if is_unpaid and not self.purchase.payment_id else []),
            *([F.PAID_ELSEWHERE] if is_kept else []),
        ]


def moves_of(world: World) -> list[str]:
    """Return what may happen next."""
    asking = world.purchase.asking
    moves = ["pass", "hint", "refund", "taken"]
    moves += ["hear", "hear", "killed"] if world.told else []
    moves += ["elsewhere"] if world.seats == "PAYING" else []
    if asking is not None:
        moves += [
            "answered",
            "answered",
            "lost",
            "slow",
            "unheard",
            "unheard",
            "declined",
            "refused",
        ]
        moves += ["look"] if asking.question == Question.VERIFY else []
    moves += ["arrives", "hinted"] if world.is_on_its_way else []
    moves += ["looked"] if world.look is not None else []
    moves += ["found"] if world.purchase.status == P.COMPENSATION_REQUIRED else []
    return moves


def step(world: World, draw: st.DataObject) -> None:
    asking = world.purchase.asking
    match draw.draw(st.sampled_from(moves_of(world))):
        case "pass":
            world.now_ms += draw.draw(st.sampled_from([1_000, 60_000, 600_000, 1_200_000]))
        case "hint":
            world.hint()
        case "refund":
            world.follow(after_refund_asked(world.purchase, world.now_ms))
        case "taken":
            world.are_taken = True
        case "hear":
            world.hear()
        case "killed":
            world.is_killed()
        case "elsewhere":
            world.seats, world.is_elsewhere = "SOLD", True
        case "answered":
            world.answer(world.perform(draw.draw(st.sampled_from([PRICE, PRICE, PRICE, 1]))))
        case "lost":
            # Done, and its answer never arrives.
            world.perform(PRICE)
            world.answer(Heard.OPEN)
        case "slow":
            world.is_on_its_way |= asking is not None and asking.question == Question.CHARGE
            world.answer(Heard.OPEN)
        case "arrives":
            world.arrive()
        case "hinted":
            world.arrives_with_a_hint()
        case "look":
            assert asking is not None
            world.now_ms = max(world.now_ms, asking.due_ms)
            world.look = (asking.number, world.perform(PRICE))
        case "looked":
            world.answer_look()
        case "found":
            # Before anything that is on its way; of that a webhook will tell.
            world.find(draw.draw(st.sampled_from(world.findings())))
        case "unheard":
            world.answer(draw.draw(st.sampled_from([Heard.OPEN, Heard.NOT_DONE])))
        case "declined":
            assert asking is not None
            is_declined = asking.question == Question.CHARGE and not (
                world.captured or world.is_on_its_way
            )
            world.answer(Heard.DECLINED if is_declined else Heard.NOT_DONE)
        case "refused":
            # It says nothing about who asked before, with other credentials.
            world.answer(Heard.REFUSED)


def settle(world: World) -> None:
    """Let everything that is still to come come, by a gateway that is well again."""
    if world.look is not None:
        world.answer_look()
    if world.is_on_its_way:
        world.arrives_with_a_hint()
    for _ in range(50):
        # A section is told again, but not while nothing else happens.
        if world.told and world.purchase.status != P.REFUND_DUE:
            world.hear()
        elif world.purchase.asking is not None:
            world.now_ms = max(world.now_ms, world.purchase.asking.due_ms)
            world.answer(world.perform(PRICE))
        elif world.purchase.status == P.COMPENSATION_REQUIRED:
            world.find(world.findings()[-1])
        else:
            return
    raise AssertionError(f"it never comes to rest: {world.purchase}")


def check_at_rest(world: World) -> None:
    """Money is where the seats say."""
    purchase, kept = world.purchase, world.captured - world.refunded
    assert purchase.status in {P.DONE, P.FAILED, P.EXPIRED, P.REFUNDED}
    assert kept == (PRICE if purchase.status == P.DONE else 0)
    is_kept = world.is_elsewhere and purchase.is_paid_elsewhere
    assert (world.seats == "SOLD") == (purchase.status == P.DONE or is_kept)
    assert world.seats != "PAYING"
    # Nobody pays in two places.
    assert not (kept and world.is_kept)


@given(st.data())
@settings(max_examples=of_whole(300))
def test_i10_i11_in_any_order_the_money_is_what_the_seats_say(data: st.DataObject) -> None:
    world = World(now_ms=data.draw(st.sampled_from([NOW, DEADLINE - 1])))
    for _ in range(data.draw(st.integers(0, 40))):
        step(world, data)
        if world.purchase.status in {P.PENDING, P.PROCESSING}:
            # Whoever may yet pay keeps the seats.
            assert world.seats == "PAYING" or world.is_elsewhere
    settle(world)
    assert world.charges <= 1
    check_at_rest(world)


@given(st.data())
@settings(max_examples=of_whole(200))
def test_i10_i11_what_another_shop_was_paid_is_sold_or_goes_back_and_is_never_charged_again(
    data: st.DataObject,
) -> None:
    deadline_ms, seats = data.draw(st.sampled_from([(DEADLINE, "PAYING"), (0, "RELEASED")]))
    begun = begin_claimed(PRICE, EUR, deadline_ms, NOW)
    paid = data.draw(st.sampled_from([PRICE, PRICE, 0, 1]))
    world = World(begun.purchase, captured=paid, seats=seats)
    for _ in range(data.draw(st.integers(0, 40))):
        asking = world.purchase.asking
        assert asking is None or asking.question != Question.CHARGE
        step(world, data)
    settle(world)
    assert world.charges == 0
    check_at_rest(world)


def test_a_claim_that_came_too_late_lets_the_seats_go_and_is_looked_up_all_the_same() -> None:
    late = begin_claimed(PRICE, EUR, NOW, NOW)
    assert (late.purchase.status, late.say) == (P.EXPIRED, Say.RELEASE_SEATS)
    assert question(late.purchase) == (Question.VERIFY, NOW)
    refused = begin_claimed(PRICE, EUR, 0, NOW, asked=4)
    assert (refused.purchase.status, refused.say) == (P.EXPIRED, None)
    assert refused.purchase.asking is not None
    assert refused.purchase.asking.number == 5
