"""A purchase beside a gateway that loses answers, and a section that may have sold its seats."""

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import of_whole

from state.domain.purchase import (
    LAST_LOOK_MS,
    LATE_RETRIES,
    REFUND_RETRIES,
    TRANSITIONS,
    WAIT_RETRIES,
    Answer,
    Followed,
    Heard,
    IllegalTurn,
    Purchase,
    PurchaseStatus,
    Question,
    Say,
    Turn,
    advance,
    answered,
    begin,
    begin_claimed,
    hinted,
    refund_asked,
    resolved,
    seats_lost,
    seats_sold,
    sold_unpaid,
    unasked,
)

P, T = PurchaseStatus, Turn
NOW, DEADLINE = 1_000_000, 1_900_000
PRICE, EUR = 12_500, b"EUR"

CALLED = {
    T.LEFT_OPEN: P.PROCESSING,
    T.CAPTURED: P.CAPTURED,
    T.DIFFERED: P.REFUND_DUE,
    T.DECLINED: P.FAILED,
    T.EXPIRED: P.EXPIRED,
    T.GAVE_UP: P.COMPENSATION_REQUIRED,
}
LEGAL = {
    **{(status, turn): to for status in (P.PENDING, P.PROCESSING) for turn, to in CALLED.items()},
    (P.CAPTURED, T.SEATS_SOLD): P.DONE,
    (P.CAPTURED, T.SEATS_LOST): P.REFUND_DUE,
    (P.CAPTURED, T.GAVE_UP): P.COMPENSATION_REQUIRED,
    (P.DONE, T.REFUND_ASKED): P.REFUND_DUE,
    (P.FAILED, T.CAPTURED): P.CAPTURED,
    (P.FAILED, T.DIFFERED): P.REFUND_DUE,
    (P.FAILED, T.GAVE_UP): P.COMPENSATION_REQUIRED,
    (P.EXPIRED, T.CAPTURED): P.CAPTURED,
    (P.EXPIRED, T.DIFFERED): P.REFUND_DUE,
    (P.EXPIRED, T.GAVE_UP): P.COMPENSATION_REQUIRED,
    (P.REFUND_DUE, T.REFUNDED): P.REFUNDED,
    (P.REFUND_DUE, T.GAVE_UP): P.COMPENSATION_REQUIRED,
    (P.REFUNDED, T.GAVE_UP): P.COMPENSATION_REQUIRED,
    (P.COMPENSATION_REQUIRED, T.CAPTURED): P.CAPTURED,
    (P.COMPENSATION_REQUIRED, T.DIFFERED): P.REFUND_DUE,
    (P.COMPENSATION_REQUIRED, T.REFUNDED): P.REFUNDED,
    (P.COMPENSATION_REQUIRED, T.FOUND_UNPAID): P.FAILED,
}


@pytest.mark.parametrize(("status", "turn"), list(itertools.product(P, T)))
def test_only_what_the_table_allows_may_follow(status: PurchaseStatus, turn: Turn) -> None:
    if (status, turn) in LEGAL:
        assert advance(status, turn) is LEGAL[status, turn]
    else:
        with pytest.raises(IllegalTurn, match=f"{status.name} x {turn.name}"):
            advance(status, turn)


def test_every_status_has_a_row_in_the_table() -> None:
    assert list(TRANSITIONS) == list(P)


# --- by hand ---------------------------------------------------------------------------------


def started() -> Purchase:
    return begin(PRICE, EUR, DEADLINE, NOW)


def answer(purchase: Purchase, heard: Heard, now_ms: int = NOW, amount: int = PRICE) -> Followed:
    """Answer the open question; of a capture, with this amount."""
    assert purchase.asking is not None
    number = purchase.asking.number
    if heard == Heard.CAPTURED:
        return answered(purchase, Answer(number, heard, amount, EUR, b"ch_1"), now_ms)
    return answered(purchase, Answer(number, heard), now_ms)


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
    done = seats_sold(purchase).purchase
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
    failed, say = unasked(started())
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
    asked = hinted(expired, DEADLINE + 2_000).purchase
    assert question(asked) == (Question.VERIFY, DEADLINE + 2_000)
    looks = answer(asked, Heard.NOT_FOUND, DEADLINE + 3_000).purchase
    assert question(looks) == (Question.VERIFY, DEADLINE + LAST_LOOK_MS)
    assert answer(looks, Heard.NOT_FOUND, DEADLINE + LAST_LOOK_MS).purchase.asking is None


def test_a_gateway_that_wants_to_be_left_alone_is_for_a_minute_at_most() -> None:
    for wait_ms, pause_ms in ((0, 1_000), (5_000, 5_000), (3_600_000, 60_000)):
        sent_away = Answer(1, Heard.NOT_DONE, wait_ms=wait_ms)
        again = answered(started(), sent_away, NOW).purchase
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
        asked = hinted(strange, now_ms).purchase
        assert answer(asked, Heard.ANOTHERS).purchase.status == P.COMPENSATION_REQUIRED


def test_f57_seats_that_were_sold_while_their_money_went_back_are_given_back_too() -> None:
    due = seats_lost(answer(started(), Heard.CAPTURED).purchase, NOW).purchase
    # The section was asked twice, and has found the seats free the second time.
    sold, say = seats_sold(due)
    assert (sold.status, say) == (P.REFUND_DUE, None)
    assert answer(sold, Heard.REFUNDED).say == Say.TAKE_SEATS_BACK
    refunded = answer(due, Heard.REFUNDED).purchase
    sold, say = seats_sold(refunded)
    assert (sold.status, say) == (P.REFUNDED, Say.TAKE_SEATS_BACK)
    assert seats_sold(sold) == (sold, None)


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
    found = resolved(purchase, T.FOUND_UNPAID)
    assert (found.purchase.status, found.say) == (P.FAILED, Say.RELEASE_SEATS)
    back = resolved(purchase, T.REFUNDED)
    assert (back.purchase.status, back.say) == (P.REFUNDED, Say.RELEASE_SEATS)
    # A webhook that comes after all is asked about, too.
    assert question(hinted(purchase, DEADLINE).purchase) == (Question.VERIFY, DEADLINE)


@pytest.mark.parametrize(("amount", "currency"), [(PRICE - 1, EUR), (PRICE, b"USD")])
def test_f59_another_amount_or_currency_sells_nothing_and_goes_back(
    amount: int, currency: bytes
) -> None:
    other = Answer(1, Heard.CAPTURED, amount, currency, b"ch_1")
    purchase, say = answered(started(), other, NOW)
    assert (purchase.status, say) == (P.REFUND_DUE, Say.RELEASE_SEATS)
    assert question(purchase) == (Question.REFUND, NOW)
    # What goes back is what came.
    assert (purchase.paid, purchase.paid_currency) == (amount, currency)


def test_f57_money_without_seats_goes_back() -> None:
    captured = answer(started(), Heard.CAPTURED).purchase
    due = seats_lost(captured, NOW).purchase
    assert (due.status, question(due)) == (P.REFUND_DUE, (Question.REFUND, NOW))
    refunded = answer(due, Heard.REFUNDED)
    assert (refunded.purchase.status, refunded.say) == (P.REFUNDED, None)


def test_a_refund_of_a_sale_gives_the_seats_back_after_the_money() -> None:
    done = seats_sold(answer(started(), Heard.CAPTURED).purchase).purchase
    asked = refund_asked(done, NOW)
    assert (asked.purchase.status, asked.say) == (P.REFUND_DUE, None)
    assert refund_asked(asked.purchase, NOW) == (asked.purchase, None)
    refunded = answer(asked.purchase, Heard.REFUNDED)
    assert (refunded.purchase.status, refunded.say) == (P.REFUNDED, Say.TAKE_SEATS_BACK)


def test_f61_a_refund_that_fails_is_tried_five_times_and_then_left_to_a_person() -> None:
    purchase = seats_lost(answer(started(), Heard.CAPTURED).purchase, NOW).purchase
    pauses: list[int] = []
    for _ in range(REFUND_RETRIES.most - 1):
        purchase = answer(purchase, Heard.OPEN).purchase
        assert purchase.asking is not None
        pauses.append(purchase.asking.due_ms - NOW - sum(pauses))
    assert pauses == [30_000, 60_000, 120_000, 240_000]
    purchase = answer(purchase, Heard.OPEN).purchase
    assert (purchase.status, purchase.asking) == (P.COMPENSATION_REQUIRED, None)
    # A capture is known: no hint asks again, and nobody can find it unpaid.
    assert hinted(purchase, NOW).purchase == purchase
    assert resolved(purchase, T.FOUND_UNPAID).purchase == purchase
    assert resolved(purchase, T.REFUNDED).purchase.status == P.REFUNDED


def test_f61_an_outage_uses_up_no_try_of_a_refund_and_a_person_is_asked_after_a_day() -> None:
    purchase = seats_lost(answer(started(), Heard.CAPTURED).purchase, NOW).purchase
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
    sold, say = sold_unpaid(failed)
    assert (sold.status, sold.is_sold, say) == (P.COMPENSATION_REQUIRED, True, None)
    for turn, status in ((T.FOUND_UNPAID, P.FAILED), (T.REFUNDED, P.REFUNDED)):
        found = resolved(sold, turn)
        assert (found.purchase.status, found.say) == (status, Say.TAKE_SEATS_BACK)
    # A look that is open may still find the money.
    looking = sold_unpaid(answer(started(), Heard.REFUSED).purchase).purchase
    assert answer(looking, Heard.CAPTURED).purchase.status == P.CAPTURED
    # Where money is there, or comes, nothing follows.
    captured = answer(started(), Heard.CAPTURED).purchase
    assert sold_unpaid(captured) == (captured, None)


def test_a_refund_that_is_refused_is_left_to_a_person_at_once() -> None:
    purchase = seats_lost(answer(started(), Heard.CAPTURED).purchase, NOW).purchase
    refused = answer(purchase, Heard.REFUSED).purchase
    assert (refused.status, refused.asking) == (P.COMPENSATION_REQUIRED, None)


def test_f58_a_hint_asks_at_once_where_the_next_question_would_wait() -> None:
    waiting = answer(started(), Heard.OPEN).purchase
    assert question(hinted(waiting, NOW).purchase) == (Question.VERIFY, NOW)
    # A charge that may be under way is waited for.
    assert hinted(started(), NOW).purchase == started()


def test_f58_a_hint_while_a_look_is_under_way_has_it_looked_for_once_more() -> None:
    # The look may have been answered before what the hint tells of happened.
    looking = hinted(answer(started(), Heard.OPEN).purchase, NOW).purchase
    refused = answer(started(), Heard.REFUSED).purchase
    for purchase in (looking, refused, hinted(lost(), NOW).purchase):
        again = hinted(purchase, NOW).purchase
        assert question(again) == (Question.VERIFY, NOW)
        stale = answered(again, Answer(purchase.asked, Heard.NOT_FOUND), NOW)
        assert stale == (again, None)
        assert answer(again, Heard.CAPTURED).say == Say.SELL_SEATS


def test_f58_a_finding_does_not_end_a_look_that_a_hint_has_begun() -> None:
    looking = hinted(lost(), NOW).purchase
    failed, say = resolved(looking, T.FOUND_UNPAID)
    assert (failed.status, say) == (P.FAILED, Say.RELEASE_SEATS)
    assert failed.asking == looking.asking
    late = answer(failed, Heard.CAPTURED)
    assert (late.purchase.status, late.say) == (P.CAPTURED, Say.SELL_SEATS)
    assert resolved(looking, T.REFUNDED).purchase.asking is None


@pytest.mark.parametrize("heard", Heard)
def test_an_answer_that_nobody_waits_for_changes_nothing(heard: Heard) -> None:
    asked_again = answer(answer(started(), Heard.OPEN).purchase, Heard.NOT_FOUND).purchase
    for number in (0, 1, 2, 4):
        late = Answer(number, heard, PRICE, EUR, b"ch_1")
        assert answered(asked_again, late, NOW) == (asked_again, None)


# --- in any order ----------------------------------------------------------------------------


@dataclass
class World:
    """A purchase, its gateway's ledger, and its section, which hears everything in order."""

    purchase: Purchase = field(default_factory=started)
    now_ms: int = NOW
    captured: int = 0
    refunded: int = 0
    seats: str = "PAYING"
    are_taken: bool = False
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
        self.follow(hinted(self.purchase, self.now_ms))

    def answer_look(self) -> None:
        """Append what a look was told, whatever has happened since."""
        assert self.look is not None
        (number, heard), self.look = self.look, None
        told = Answer(number, heard, self.captured, EUR, b"ch_1")
        self.follow(answered(self.purchase, told, self.now_ms))

    def answer(self, heard: Heard) -> None:
        assert self.purchase.asking is not None
        number = self.purchase.asking.number
        self.follow(
            answered(
                self.purchase, Answer(number, heard, self.captured, EUR, b"ch_1"), self.now_ms
            )
        )

    def hear(self) -> None:
        """Let the section act on the oldest word, and answer."""
        match self.told.pop(0):
            case Say.SELL_SEATS if self.seats == "PAYING" or (
                self.seats == "RELEASED" and not self.are_taken
            ):
                self.seats = "SOLD"
                self.follow(seats_sold(self.purchase))
            case Say.SELL_SEATS:
                self.follow(seats_lost(self.purchase, self.now_ms))
            case Say.RELEASE_SEATS if self.seats == "PAYING":
                self.seats = "RELEASED"
            case Say.TAKE_SEATS_BACK:
                assert self.seats == "SOLD"
                self.seats = "REFUNDED"


def moves_of(world: World) -> list[str]:
    """Return what may happen next."""
    asking = world.purchase.asking
    moves = ["pass", "hint", "refund", "taken", *(["hear"] if world.told else [])]
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
            world.follow(hinted(world.purchase, world.now_ms))
        case "refund":
            world.follow(refund_asked(world.purchase, world.now_ms))
        case "taken":
            world.are_taken = True
        case "hear":
            world.hear()
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
            is_paid = world.captured > world.refunded
            world.refunded = world.captured
            found = T.REFUNDED if is_paid else T.FOUND_UNPAID
            world.follow(resolved(world.purchase, found))
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
        if world.told:
            world.hear()
        elif world.purchase.asking is not None:
            world.now_ms = max(world.now_ms, world.purchase.asking.due_ms)
            world.answer(world.perform(PRICE))
        else:
            return
    raise AssertionError(f"it never comes to rest: {world.purchase}")


@given(st.data())
@settings(max_examples=of_whole(300))
def test_i10_i11_in_any_order_the_money_is_what_the_seats_say(data: st.DataObject) -> None:
    world = World(now_ms=data.draw(st.sampled_from([NOW, DEADLINE - 1])))
    for _ in range(data.draw(st.integers(0, 40))):
        step(world, data)
        if world.purchase.status in {P.PENDING, P.PROCESSING}:
            # Whoever may yet pay keeps the seats.
            assert world.seats == "PAYING"
    settle(world)
    assert world.charges <= 1
    status, kept = world.purchase.status, world.captured - world.refunded
    if status == P.COMPENSATION_REQUIRED:
        return
    assert status in {P.DONE, P.FAILED, P.EXPIRED, P.REFUNDED}
    assert (kept, world.seats == "SOLD") == ((PRICE, True) if status == P.DONE else (0, False))
    assert world.seats != "PAYING"


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
    status, kept = world.purchase.status, world.captured - world.refunded
    if status == P.COMPENSATION_REQUIRED:
        return
    is_sold = status == P.DONE
    assert (kept, world.seats == "SOLD") == ((PRICE, True) if is_sold else (0, False))


def test_a_claim_that_came_too_late_lets_the_seats_go_and_is_looked_up_all_the_same() -> None:
    late = begin_claimed(PRICE, EUR, NOW, NOW)
    assert (late.purchase.status, late.say) == (P.EXPIRED, Say.RELEASE_SEATS)
    assert question(late.purchase) == (Question.VERIFY, NOW)
    refused = begin_claimed(PRICE, EUR, 0, NOW, asked=4)
    assert (refused.purchase.status, refused.say) == (P.EXPIRED, None)
    assert refused.purchase.asking is not None
    assert refused.purchase.asking.number == 5
