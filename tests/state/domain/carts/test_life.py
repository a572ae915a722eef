"""A cart beside sections that answer late, twice, out of order, or kill their workers."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.carts.life import (
    begin,
    cancelled,
    extended,
    given_up,
    heard,
    paid,
    refusal_to_pay,
    settled,
    unstarted,
)
from state.domain.carts.parties import Party
from state.domain.carts.payment import Ask, CartPayment, Step
from state.domain.carts.statuses import AT_REST, CartEnd, CartStatus, OnFailure
from state.domain.carts.values import Cart, Part, Standing
from state.domain.layout import SeatRange
from state.domain.purchases.values import Say
from state.domain.reasons import Reason
from state.domain.reservation import Status

NOW = 1_000_000
C, S = CartStatus, Status
NOTHING_KNOWN = Standing()
WISH = CartPayment(wish=b"w", amount=700, currency=b"EUR", gateway=b"mock")


def asked(*sections: bytes, on_failure: OnFailure = OnFailure.RELEASE) -> Cart:
    wanted = tuple(Part(section, 2, ()) for section in sections)
    return begin(b"ann", 7, b"c", on_failure, wanted, NOW)


def questions(cart: Cart) -> list[Ask]:
    return [Ask(part.asked) for part in cart.parts]


def held(offset: int, deadline_ms: int = 0) -> Standing:
    return Standing(offset, 0, S.HELD, epoch=1, deadline_ms=deadline_ms)


def told(cart: Cart, number: int, standing: Standing, answers: bytes = b"") -> Cart:
    return heard(cart, number, standing, answers, NOW + 1)


# What two sections come to, by hand.


def test_a_cart_is_held_when_all_have_answered_until_the_first_of_its_deadlines() -> None:
    cart = asked(b"A", b"B")
    assert (cart.status, questions(cart)) == (C.ASKING, [Ask.HOLD, Ask.HOLD])
    cart = told(cart, 1, held(5, 900))
    assert (cart.status, questions(cart)) == (C.ASKING, [Ask.HOLD, Ask.NOTHING])
    cart = told(cart, 0, held(3, 800))
    assert (cart.status, questions(cart), cart.deadline_ms) == (C.HELD, [Ask.NOTHING] * 2, 800)


def test_a_refused_part_has_the_others_given_back_also_those_that_have_not_answered() -> None:
    cart = told(asked(b"A", b"B", b"C"), 0, held(3))
    cart = told(cart, 1, Standing(4, 0, S.REJECTED, reason=Reason.SOLD_OUT))
    assert cart.status == C.ENDING
    assert questions(cart) == [Ask.RELEASE, Ask.NOTHING, Ask.RELEASE]
    # The hold of the third was on its way before its release.
    cart = told(cart, 2, held(9))
    assert questions(cart) == [Ask.RELEASE, Ask.NOTHING, Ask.RELEASE]
    cart = told(cart, 2, Standing(10, 0, S.RELEASED))
    cart = told(cart, 0, Standing(11, 0, S.RELEASED))
    assert (cart.status, cart.end) == (C.REJECTED, CartEnd.REFUSED)


def test_with_keep_a_refused_part_costs_no_other() -> None:
    cart = told(asked(b"A", b"B", on_failure=OnFailure.KEEP), 0, held(3))
    cart = told(cart, 1, Standing(4, 0, S.REJECTED, reason=Reason.SOLD_OUT))
    assert (cart.status, questions(cart)) == (C.HELD, [Ask.NOTHING] * 2)


def party_of(*sections: bytes) -> Cart:
    """Return a cart that wants two seats in one of these sections, or over them, and one in Z."""
    wanted = Part(sections[0], 2, ()), Part(b"Z", 1, ())
    parties = (Party(sections, (0,)),)
    return begin(b"ann", 7, b"c", OnFailure.RELEASE, wanted, NOW, parties)


def test_d12_a_refused_party_is_asked_of_the_next_section_and_its_answer_counts() -> None:
    refused = Standing(4, 0, S.REJECTED, reason=Reason.SOLD_OUT)
    cart = told(party_of(b"A", b"B"), 0, refused)
    assert (cart.parts[2].section, cart.parts[2].seat_count) == (b"B", 2)
    assert (cart.status, questions(cart)) == (C.ASKING, [Ask.NOTHING, Ask.HOLD, Ask.HOLD])
    # The same word again asks nobody.
    assert told(cart, 0, refused) == cart
    cart = told(cart, 2, held(5)._replace(seats=(SeatRange(0, 0, 2),)))
    assert told(cart, 1, held(6)).status == C.HELD


def test_d12_nobody_else_is_asked_for_the_party_of_a_cart_that_ends_or_may_be_held_yet() -> None:
    refused = Standing(4, 0, S.REJECTED, reason=Reason.SOLD_OUT)
    ended = told(cancelled(party_of(b"A", b"B"), NOW), 0, refused)
    killed = told(party_of(b"A", b"B"), 0, Standing(4, reason=Reason.INTERNAL))
    never = told(party_of(b"A", b"B"), 0, Standing(4, reason=Reason.SALE_CLOSED))
    for cart in (ended, killed, never):
        assert len(cart.parts) == 2
        assert cart.status == C.ENDING
    assert len(told(party_of(b"A"), 0, refused).parts) == 2


def test_a_lapse_ends_the_whole() -> None:
    cart = told(told(asked(b"A", b"B"), 0, held(3)), 1, held(4))
    cart = told(cart, 0, Standing(8, 1, S.RELEASED))
    assert (cart.status, questions(cart)) == (C.ENDING, [Ask.NOTHING, Ask.RELEASE])
    cart = told(cart, 1, Standing(8, 2, S.RELEASED))
    assert (cart.status, cart.end) == (C.RELEASED, CartEnd.PART_ENDED)


def test_older_words_change_nothing() -> None:
    cart = told(asked(b"A"), 0, Standing(8, 0, S.RELEASED))
    assert told(cart, 0, held(3)) == cart


def test_a_part_that_no_worker_survives_is_cancelled_before_it_may_be_held() -> None:
    killed = Standing(4, 0, S.UNSPECIFIED, reason=Reason.INTERNAL)
    cart = told(asked(b"A", on_failure=OnFailure.KEEP), 0, killed)
    assert questions(cart) == [Ask.RELEASE]
    assert given_up(cart, NOW).status == C.REJECTED
    # Somebody sends its dead letter again.
    late = told(given_up(cart, NOW), 0, held(9))
    assert (late.status, questions(late)) == (C.ENDING, [Ask.RELEASE])


@pytest.mark.parametrize("reason", [Reason.KEY_MISMATCH, Reason.WRONG_PARTITION])
def test_what_lay_astray_says_nothing_of_the_part_that_it_named(reason: Reason) -> None:
    """Anybody may have put it there; the cart's own question still lies before its section."""
    astray = Standing(4, 0, S.UNSPECIFIED, reason=reason)
    cart = asked(b"A")
    assert told(cart, 0, astray) == cart
    starting = paid(told(cart, 0, held(5)), WISH, NOW)
    assert told(starting, 0, astray, starting.turn_id) == starting


def test_a_word_that_only_newer_code_knows_says_nothing() -> None:
    cart = asked(b"A")
    assert told(cart, 0, Standing(4)) == cart


def test_an_extension_is_asked_of_each_held_part_once() -> None:
    cart = told(told(asked(b"A", b"B"), 0, held(3, 800)), 1, held(4, 900))
    longer = extended(cart, b"x")
    assert [part.is_extending for part in longer.parts] == [True, True]
    assert extended(longer, b"x") == longer
    once = told(longer, 0, held(6, 1_800), answers=b"x")
    assert [part.is_extending for part in once.parts] == [False, True]
    assert once.deadline_ms == 900


@pytest.mark.parametrize("status", [S.PAYING, S.SOLD, S.RELEASED])
def test_what_is_not_held_any_more_is_not_waited_for_to_last_longer(status: Status) -> None:
    longer = extended(told(asked(b"A"), 0, held(3, 800)), b"x")
    assert not told(longer, 0, Standing(6, 0, status)).parts[0].is_extending


def test_an_extension_that_killed_its_workers_is_answered() -> None:
    longer = extended(told(asked(b"A"), 0, held(3, 800)), b"x")
    after = told(longer, 0, Standing(6), answers=b"x")
    assert after == told(asked(b"A"), 0, held(3, 800))._replace(extension=b"x")


def test_what_is_being_paid_for_is_not_cancelled() -> None:
    cart = told(told(asked(b"A", b"B"), 0, held(3)), 1, Standing(9, 0, S.PAYING))
    assert cancelled(cart, NOW) == cart


def test_a_cart_that_is_over_is_neither_cancelled_nor_extended() -> None:
    over = told(asked(b"A"), 0, Standing(4, 0, S.REJECTED, reason=Reason.SOLD_OUT))
    assert cancelled(over, NOW) == over
    assert extended(over, b"x") == over


@pytest.mark.parametrize("is_late", [False, True])
def test_a_part_that_is_held_after_all_is_given_back_beside_what_is_paid_for(
    *, is_late: bool
) -> None:
    """Before the sale or behind it: the cart is paid for once, so nothing could come of it."""
    cart = told(asked(b"A", b"B", on_failure=OnFailure.KEEP), 0, held(3))
    cart = told(cart, 1, Standing(4, 0, S.UNSPECIFIED, reason=Reason.INTERNAL))
    cart = paid(given_up(cart, NOW), WISH, NOW)
    cart = told(cart, 0, Standing(6, 0, S.PAYING, 1), cart.turn_id)
    if not is_late:
        cart = told(cart, 1, held(9))
        assert (cart.status, questions(cart)) == (C.PAYING, [Ask.NOTHING, Ask.RELEASE])
    cart = settled(cart, Say.SELL_SEATS, 0, NOW)
    cart = told(cart, 0, Standing(7, 0, S.SOLD, 1), cart.turn_id)
    if is_late:
        assert cart.status == C.SOLD
        cart = told(cart, 1, held(9))
    assert (cart.status, questions(cart)) == (C.ENDING, [Ask.NOTHING, Ask.RELEASE])
    cart = told(cart, 1, Standing(10, 0, S.RELEASED))
    assert (cart.status, cart.is_waiting) == (C.SOLD, False)


def test_a_part_that_was_given_up_and_is_held_after_all_is_given_back() -> None:
    """Nobody counted it meanwhile: its buyer may have as much as he is allowed without it."""
    cart = told(asked(b"A", b"B", on_failure=OnFailure.KEEP), 0, held(5))
    cart = given_up(told(cart, 1, Standing(6, 0, S.UNSPECIFIED, reason=Reason.INTERNAL)), NOW)
    # Also where its section says it again.
    for word in (held(9), held(9), held(10)):
        cart = told(cart, 1, word)
        assert (cart.status, questions(cart)) == (C.HELD, [Ask.NOTHING, Ask.RELEASE])
        assert refusal_to_pay(cart, 0, b"EUR") == Reason.PAYMENT_IN_PROGRESS
    cart = told(cart, 1, Standing(11, 0, S.RELEASED))
    assert (cart.status, questions(cart)) == (C.HELD, [Ask.NOTHING, Ask.NOTHING])


def test_a_part_that_is_held_after_all_is_held_beside_one_that_somebody_else_has_sold() -> None:
    cart = told(asked(b"A", b"B", on_failure=OnFailure.KEEP), 0, Standing(3, 0, S.SOLD, 1))
    cart = told(cart, 1, Standing(4, 0, S.UNSPECIFIED, reason=Reason.INTERNAL))
    cart = given_up(cart, NOW)
    assert cart.status == C.SOLD
    assert told(cart, 1, held(9)).status == C.HELD


def test_late_money_for_what_somebody_else_had_sold_and_refunded_goes_back() -> None:
    cart = paid(told(asked(b"A"), 0, held(3)), WISH, NOW)
    cart = told(cart, 0, Standing(4, 0, S.PAYING, 1), cart.turn_id)
    cart = settled(cart, Say.RELEASE_SEATS, 1, NOW)
    cart = told(cart, 0, Standing(5, 0, S.RELEASED, 1), cart.turn_id)
    for offset, status in ((6, S.SOLD), (7, S.REFUNDED)):
        cart = told(cart, 0, Standing(offset, 0, status, 2))
    assert cart.status == C.REFUNDED
    cart = settled(cart, Say.SELL_SEATS, 0, NOW)
    assert (cart.status, questions(cart)) == (C.PAYING, [Ask.SELL])
    cart = told(cart, 0, Standing(7, 0, S.REFUNDED, 2), cart.turn_id)
    assert cart.payment.step == Step.TAKEN_BACK


def test_what_may_be_sold_yet_is_taken_back_before_anybody_hears_that_nothing_was_sold() -> None:
    """Late money: the second part is refused while the sale of the first is on its way."""
    cart = given_back(b"A", b"B")
    cart = settled(cart, Say.SELL_SEATS, 0, NOW)
    selling = cart.turn_id
    cart = told(cart, 1, Standing(5, 0, S.RELEASED, 1), selling)
    assert (cart.payment.step, questions(cart)) == (Step.TAKING_BACK, [Ask.TAKE_BACK] * 2)
    # Neither an older word of it nor the answer to the sale says that nothing more comes.
    for answers in (b"", b"c", selling):
        cart = told(cart, 0, Standing(5, 0, S.RELEASED, 1), answers)
        cart = told(cart, 1, Standing(5, 0, S.RELEASED, 1), answers)
        # Nor does one that killed its workers.
        killed = Standing(8, 0, S.UNSPECIFIED, reason=Reason.INTERNAL)
        cart = told(cart, 0, killed, cart.turn_id)
        assert (cart.payment.step, questions(cart)) == (Step.TAKING_BACK, [Ask.TAKE_BACK] * 2)
    cart = told(cart, 1, Standing(5, 0, S.RELEASED, 1), cart.turn_id)
    assert questions(cart) == [Ask.TAKE_BACK, Ask.NOTHING]
    cart = told(cart, 0, Standing(9, 0, S.REFUNDED, 2), cart.turn_id)
    assert (cart.payment.step, cart.is_waiting) == (Step.TAKEN_BACK, False)


@pytest.mark.parametrize("say", [Say.RELEASE_SEATS, Say.TAKE_SEATS_BACK])
def test_what_payments_want_back_is_asked_back_though_nothing_is_known_to_be_sold(
    say: Say,
) -> None:
    cart = settled(given_back(b"A"), Say.SELL_SEATS, 0, NOW)
    cart = settled(cart, say, 0, NOW)
    assert (cart.payment.step, questions(cart)) == (Step.TAKING_BACK, [Ask.TAKE_BACK])
    cart = told(cart, 0, Standing(5, 0, S.RELEASED, 1), cart.turn_id)
    assert cart.payment.step == Step.TAKEN_BACK


@pytest.mark.parametrize("request_id", [b"c-1", b"pay.1", b"pay:1", b"pay.", b"pay.3"])
def test_no_request_of_the_buyer_has_the_id_of_a_turn_of_his_payment(request_id: bytes) -> None:
    """A hold that is answered twice would be taken for a refusal to wait, or to be sold."""
    cart = starting(request_id)
    assert told(cart, 1, held(3, 800), request_id) == cart
    for turn in range(9):
        assert cart._replace(payment=WISH._replace(turn=turn)).turn_id != request_id


def starting(request_id: bytes = b"c") -> Cart:
    """Return a cart whose first part waits for its payment, and whose second has not answered."""
    cart = asked(b"A", b"B")._replace(correlation_id=request_id)
    for number in (0, 1):
        cart = told(cart, number, held(3, 800))
    cart = paid(cart, WISH, NOW)
    return told(cart, 0, Standing(4, 0, S.PAYING, 1, deadline_ms=900), cart.turn_id)


def test_a_payment_that_does_not_begin_in_time_gives_back_what_waits_for_it() -> None:
    cart = starting()
    assert unstarted(cart, 899) == cart
    over = unstarted(cart, 900)
    assert (over.status, questions(over)) == (C.ENDING, [Ask.FAIL_PAYMENT, Ask.RELEASE])
    assert over.payment.step == Step.GIVING_BACK
    # The start lay before the release in its section.
    late = told(over, 1, Standing(5, 0, S.PAYING, 1))
    assert questions(late) == [Ask.FAIL_PAYMENT, Ask.FAIL_PAYMENT]
    charging = told(cart, 1, Standing(5, 0, S.PAYING, 1), cart.turn_id)
    assert unstarted(charging, 10_000) == charging


def test_a_cart_is_given_back_by_its_buyer_while_nobody_was_asked_for_money() -> None:
    cart = starting()
    ended = cancelled(cart, NOW)
    assert (ended.status, ended.end) == (C.ENDING, CartEnd.CANCELLED)
    assert questions(ended) == [Ask.FAIL_PAYMENT, Ask.RELEASE]
    charging = told(cart, 1, Standing(5, 0, S.PAYING, 1), cart.turn_id)
    assert cancelled(charging, NOW) == charging


def given_back(*sections: bytes) -> Cart:
    """Return a cart whose payment brought nothing, and whose parts were given back."""
    cart = asked(*sections)
    for status, offset in ((S.HELD, 3), (S.PAYING, 4), (S.RELEASED, 5)):
        for number in range(len(sections)):
            cart = told(cart, number, Standing(offset, 0, status, 1), cart.turn_id)
        if status == S.HELD:
            cart = paid(cart, WISH, NOW)
        elif status == S.PAYING:
            cart = settled(cart, Say.RELEASE_SEATS, 1, NOW)
    assert cart.payment.step == Step.GIVEN_BACK
    return cart


# In any order, beside sections that know the truth.


@dataclass
class Seats:
    """The section of one part: what came to it and is not decided, and what it has decided."""

    asked: deque[Ask] = field(default_factory=deque)
    dead: list[Ask] = field(default_factory=list)
    standing: Standing = NOTHING_KNOWN
    given_back: int = 0

    def decide(self, offset: int, *, has_room: bool) -> Standing:
        ask = self.asked.popleft()
        now = self.standing
        if now.status == S.UNSPECIFIED and ask == Ask.RELEASE:
            self.standing = Standing(offset, 0, S.RELEASED)
        elif now.status == S.UNSPECIFIED:
            status, reason = (S.HELD, Reason.UNSPECIFIED) if has_room else (S.REJECTED, S.HELD)
            self.standing = Standing(offset, 0, status, reason=reason)
        elif now.status == S.HELD and ask == Ask.RELEASE:
            self.give_back(offset, 0)
        return self.standing

    def give_back(self, offset: int, ordinal: int) -> Standing:
        assert self.standing.status == S.HELD
        self.given_back += 1
        self.standing = Standing(offset, ordinal, S.RELEASED)
        return self.standing


@dataclass
class World:
    """A cart, its sections, and the words that are on their way to it."""

    cart: Cart
    seats: list[Seats]
    words: list[tuple[int, Standing]] = field(default_factory=list)
    offset: int = 10

    def put(self, cart: Cart) -> None:
        for seats, before, after in zip(self.seats, self.cart.parts, cart.parts, strict=True):
            if after.asked and after.asked != before.asked:
                seats.asked.append(Ask(after.asked))
        self.cart = cart

    def tell_again(self) -> None:
        """As is done after a while: what is waited for, and what should have ended, is asked."""
        for seats, part in zip(self.seats, self.cart.parts, strict=True):
            if part.asked or part.status == S.HELD:
                seats.asked.append(Ask(part.asked or Ask.HOLD))

    def step(self, what: str, number: int, at: int) -> None:
        seats = self.seats[number]
        self.offset += 1
        match what:
            case "hold" | "refuse" if seats.asked:
                standing = seats.decide(self.offset, has_room=what == "hold")
                self.words.append((number, standing))
            case "kill" if seats.asked:
                seats.dead.append(seats.asked.popleft())
                killed = Standing(self.offset, 0, S.UNSPECIFIED, reason=Reason.INTERNAL)
                self.words.append((number, killed))
            case "send again" if seats.dead:
                seats.asked.append(seats.dead.pop())
            case "lose" if seats.asked:
                seats.asked.popleft()
            case "lapse" | "stranger" if seats.standing.status == S.HELD:
                self.words.append((number, seats.give_back(self.offset, what == "lapse")))
            case "sell" if seats.standing.status == S.HELD:
                seats.standing = Standing(self.offset, 0, S.SOLD)
                self.words.append((number, seats.standing))
            case "hear" | "hear twice" if self.words:
                which = at % len(self.words)
                self.put(heard(self.cart, *self.words[which], b"", NOW))
                if what == "hear":
                    del self.words[which]
            case "unheard" if self.words:
                del self.words[at % len(self.words)]
            case "cancel":
                self.put(cancelled(self.cart, NOW))
            case "tell again":
                self.tell_again()
            case "give up":
                self.put(given_up(self.cart, NOW))

    def settle(self, *, asks_again: bool = True) -> None:
        """Let everything come to its end: what was lost is asked again, nobody dies any more."""
        for _ in range(4):
            if asks_again:
                self.tell_again()
            for number, seats in enumerate(self.seats):
                while seats.asked:
                    self.step("hold", number, 0)
            while self.words:
                self.step("hear", 0, 0)


STEPS = (
    *("hold", "hear") * 3,
    *("refuse", "kill", "send again", "lose", "lapse", "stranger", "sell", "hear twice"),
    *("unheard", "cancel", "tell again", "give up"),
)
# What only asking again puts right.
LOSSES = {"lose", "unheard", "kill"}
steps = st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.integers(0, 9))


@given(st.integers(1, 4), st.sampled_from([OnFailure.RELEASE, OnFailure.KEEP]), st.lists(steps))
def test_i25_in_any_order_a_cart_at_rest_is_what_its_sections_say_and_never_half_held(
    parts: int, on_failure: OnFailure, happened: list[tuple[str, int, int]]
) -> None:
    asks_again = any(what in LOSSES for what, _, _ in happened)
    cart = asked(*[b"%d" % number for number in range(parts)], on_failure=on_failure)
    world = World(cart, [Seats(deque([Ask.HOLD])) for _ in range(parts)])
    for what, number, at in happened:
        world.step(what, number % parts, at)
        assert all(seats.given_back <= 1 for seats in world.seats)
    world.settle(asks_again=asks_again)
    # What killed its workers is sent again by an operator, when all is over.
    for seats in world.seats:
        seats.asked.extend(seats.dead)
    world.settle(asks_again=False)
    cart = world.cart
    assert cart.status in AT_REST
    assert not cart.is_waiting
    truth = [S(seats.standing.status) for seats in world.seats]
    assert [part.status for part in cart.parts] == truth
    counts = Counter(truth)
    is_ended = cart.end != CartEnd.UNSPECIFIED
    if on_failure == OnFailure.RELEASE and (counts[S.REJECTED] or counts[S.RELEASED]):
        assert not counts[S.HELD]
        assert is_ended
    if is_ended:
        assert not counts[S.HELD]
    assert (cart.status == C.HELD) == bool(counts[S.HELD])
    assert (cart.status == C.SOLD) == bool(counts[S.SOLD] and not counts[S.HELD])


@pytest.mark.parametrize("on_failure", [OnFailure.RELEASE, OnFailure.KEEP])
def test_nothing_of_a_whole_that_is_held_is_given_back(on_failure: OnFailure) -> None:
    world = World(
        asked(b"A", b"B", on_failure=on_failure), [Seats(deque([Ask.HOLD])) for _ in range(2)]
    )
    world.settle()
    assert [seats.standing.status for seats in world.seats] == [S.HELD, S.HELD]
    assert [seats.given_back for seats in world.seats] == [0, 0]


# Words and payments in any order: what sections may tell of a part behind what they told before.
NEXT = {
    S.UNSPECIFIED: (S.UNSPECIFIED, S.HELD, S.REJECTED, S.RELEASED),
    S.HELD: (S.PAYING, S.RELEASED, S.SOLD),
    S.PAYING: (S.SOLD, S.RELEASED),
    S.RELEASED: (S.SOLD,),
    S.SOLD: (S.REFUNDED,),
    S.REJECTED: (S.REJECTED,),
    S.REFUNDED: (S.REFUNDED,),
}
CAUSES = st.sampled_from([Reason.UNSPECIFIED, Reason.INTERNAL, Reason.KEY_MISMATCH])
WORDS = st.tuples(st.just("word"), st.integers(0, 2), st.integers(0, 3), CAUSES, st.booleans())
OTHERS = st.sampled_from(["pay", "cancel", "give up", "late", *Say])


def priced(offset: int, status: Status) -> Standing:
    return Standing(offset, 0, status, 1, amount=700, currency=b"EUR")


@given(
    st.sampled_from([OnFailure.RELEASE, OnFailure.KEEP]),
    st.booleans(),
    st.lists(st.one_of(WORDS, WORDS, OTHERS), min_size=8, max_size=30),
)
def test_whatever_is_told_in_any_order_no_step_is_illegal(
    on_failure: OnFailure, begins_paid: bool, happened: list[Any]
) -> None:
    cart = told(asked(b"A", b"B", b"C", on_failure=on_failure), 0, priced(3, S.HELD))
    truth = [S.HELD, S.UNSPECIFIED, S.UNSPECIFIED]
    if begins_paid:
        # Two holds killed their workers, and the buyer pays for the third.
        for number in (1, 2):
            killed = Standing(4, 0, S.UNSPECIFIED, reason=Reason.INTERNAL)
            cart = told(cart, number, killed)
        cart = given_up(cart, NOW)
        if refusal_to_pay(cart, 700, b"EUR") is None:
            cart = paid(cart, WISH, NOW)
    for offset, what in enumerate(happened, 10):
        match what:
            case ("word", number, which, reason, is_answer):
                truth[number] = NEXT[truth[number]][which % len(NEXT[truth[number]])]
                standing = priced(offset, truth[number])._replace(reason=reason)
                cart = told(cart, number, standing, cart.turn_id if is_answer else b"")
            case "pay":
                count = sum(part.status == S.HELD for part in cart.parts)
                if refusal_to_pay(cart, 700 * count, b"EUR") is None:
                    cart = paid(cart, WISH._replace(amount=700 * count), NOW)
            case "cancel":
                cart = cancelled(cart, NOW)
            case "give up":
                cart = given_up(cart, NOW)
            case "late":
                cart = unstarted(cart, NOW)
            case Say() if cart.payment.step:
                cart = settled(cart, what, 0, NOW)
