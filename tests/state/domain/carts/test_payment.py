"""What a cart's payment asks of its parts and answers to payments, step by step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.carts.payment import (
    UNDER_WAY,
    Answer,
    Ask,
    CartPayment,
    Step,
    answer,
    asked_of,
    followed,
    told,
)
from state.domain.purchases.values import Say
from state.domain.reasons import Reason
from state.domain.reservation import PaymentFailure, SaleDecision, Status

NOW = 1_000_000
S = Status
PARTS = st.sets(st.sampled_from([S.HELD, S.PAYING, S.SOLD, S.RELEASED, S.REFUNDED]), min_size=1)
STEPS = st.sampled_from(Step)
SAYS = st.sampled_from(Say)


def at(step: Step, amount: int = 700, saying: int = 0) -> CartPayment:
    return CartPayment(step, 3, NOW, b"w", amount, b"EUR", b"mock", b"card", b"token", saying)


def after(step: Step, *parts: Status, is_refused: bool = False, amount: int = 700) -> Step:
    found = followed(at(step, amount), frozenset(parts), NOW + 1, is_refused=is_refused)
    return Step(found.step)


@pytest.mark.parametrize(
    ("step", "parts", "expected"),
    [
        (Step.STARTING, (S.HELD, S.PAYING), Step.STARTING),
        (Step.STARTING, (S.PAYING,), Step.CHARGING),
        (Step.STARTING, (S.PAYING, S.RELEASED), Step.GIVING_BACK),
        # Somebody else has sold one: what is left is another sum.
        (Step.STARTING, (S.PAYING, S.SOLD), Step.GIVING_BACK),
        (Step.STARTING, (S.RELEASED,), Step.GIVEN_BACK),
        (Step.CHARGING, (S.PAYING, S.RELEASED), Step.CHARGING),
        (Step.SELLING, (S.PAYING, S.SOLD), Step.SELLING),
        (Step.SELLING, (S.SOLD,), Step.SOLD),
        (Step.GIVING_BACK, (S.PAYING, S.RELEASED), Step.GIVING_BACK),
        (Step.GIVING_BACK, (S.SOLD, S.RELEASED), Step.GIVEN_BACK),
        (Step.TAKING_BACK, (S.SOLD, S.RELEASED), Step.TAKING_BACK),
        (Step.TAKING_BACK, (S.REFUNDED, S.RELEASED), Step.TAKEN_BACK),
        # A sale that killed its workers was sent again, when its money had gone back.
        (Step.TAKEN_BACK, (S.SOLD, S.REFUNDED), Step.TAKING_BACK),
        # Nobody is told that it is over while a part waits for money, however that came about.
        (Step.TAKEN_BACK, (S.PAYING,), Step.TAKING_BACK),
        (Step.GIVEN_BACK, (S.PAYING, S.RELEASED), Step.GIVING_BACK),
    ],
)
def test_a_step_ends_when_all_parts_stand_as_it_wants(
    step: Step, parts: tuple[Status, ...], expected: Step
) -> None:
    assert after(step, *parts) == expected


def test_a_part_that_cannot_be_sold_again_takes_the_others_back() -> None:
    assert after(Step.SELLING, S.SOLD, S.RELEASED, is_refused=True) == Step.TAKING_BACK
    assert after(Step.SELLING, S.RELEASED, is_refused=True) == Step.TAKEN_BACK


@given(PARTS)
def test_nothing_is_taken_back_before_every_section_that_was_asked_has_answered(
    parts: set[Status],
) -> None:
    payment = followed(at(Step.TAKING_BACK), parts, NOW, is_refused=False, is_asked=True)
    assert payment.step == Step.TAKING_BACK
    selling = followed(at(Step.SELLING), parts, NOW, is_refused=True, is_asked=True)
    assert selling.step == (Step.SOLD if parts == {S.SOLD} else Step.TAKING_BACK)


def test_what_costs_nothing_is_sold_without_asking_for_money() -> None:
    assert after(Step.STARTING, S.PAYING, amount=0) == Step.SELLING


@pytest.mark.parametrize(
    ("step", "say", "expected"),
    [
        (Step.CHARGING, Say.SELL_SEATS, Step.SELLING),
        (Step.GIVEN_BACK, Say.SELL_SEATS, Step.SELLING),
        (Step.TAKEN_BACK, Say.SELL_SEATS, Step.TAKEN_BACK),
        (Step.CHARGING, Say.RELEASE_SEATS, Step.GIVING_BACK),
        (Step.SELLING, Say.RELEASE_SEATS, Step.TAKING_BACK),
        (Step.SOLD, Say.RELEASE_SEATS, Step.SOLD),
        (Step.SOLD, Say.TAKE_SEATS_BACK, Step.TAKING_BACK),
        (Step.GIVEN_BACK, Say.TAKE_SEATS_BACK, Step.TAKING_BACK),
    ],
)
def test_what_payments_tell_leads_on(step: Step, say: Say, expected: Step) -> None:
    assert told(at(step), say, 0, NOW).step == expected


@given(STEPS, SAYS)
def test_the_same_word_again_changes_nothing_and_the_buyers_token_is_forgotten(
    step: Step, say: Say
) -> None:
    once = told(at(step), say, PaymentFailure.DECLINED, NOW)
    assert told(once, say, PaymentFailure.DECLINED, NOW + 5) == once
    assert (once.method, once.parameters) == (b"", b"")


@given(STEPS, PARTS)
def test_what_follows_is_followed_by_nothing_and_each_step_has_a_turn(
    step: Step, parts: set[Status]
) -> None:
    once = followed(at(step), parts, NOW + 1, is_refused=False)
    again = followed(once, parts, NOW + 2, is_refused=False)
    # All that may follow at once is that there is nothing left to do.
    assert again == once or {once.step, again.step} <= {Step.SELLING, Step.SOLD}
    assert (once.turn == 3) == (once.step == step)


@given(STEPS, SAYS, PARTS)
def test_payments_are_answered_only_when_no_part_is_left_between(
    step: Step, say: Say, parts: set[Status]
) -> None:
    payment = followed(told(at(step), say, 0, NOW), parts, NOW, is_refused=False)
    said = answer(payment, parts)
    if said is None:
        return
    assert payment.step not in UNDER_WAY
    asks = {asked_of(payment, part) for part in parts} - {None, Ask.NOTHING}
    if payment.step != Step.SOLD:
        assert asks <= {Ask.FAIL_PAYMENT}
        assert S.PAYING not in parts
    if said.decision in {SaleDecision.RELEASED, SaleDecision.REFUNDED}:
        assert S.SOLD not in parts


def test_who_else_has_sold_a_part_is_told_as_of_any_payment() -> None:
    payment = at(Step.GIVEN_BACK, saying=Say.RELEASE_SEATS)
    refused = Answer(SaleDecision.REFUSED, Reason.ALREADY_SOLD)
    assert answer(payment, {S.SOLD, S.RELEASED}) == refused
    assert answer(payment, {S.RELEASED}) == Answer(SaleDecision.RELEASED)


@pytest.mark.parametrize(
    ("step", "status", "expected"),
    [
        (Step.NOTHING, S.PAYING, Ask.FAIL_PAYMENT),
        (Step.NOTHING, S.HELD, None),
        (Step.STARTING, S.HELD, Ask.START_PAYMENT),
        (Step.CHARGING, S.PAYING, Ask.NOTHING),
        (Step.SELLING, S.RELEASED, Ask.SELL),
        (Step.SELLING, S.SOLD, Ask.NOTHING),
        (Step.GIVING_BACK, S.PAYING, Ask.FAIL_PAYMENT),
        (Step.GIVEN_BACK, S.SOLD, None),
        (Step.TAKING_BACK, S.SOLD, Ask.TAKE_BACK),
    ],
)
def test_each_part_is_asked_for_what_the_step_wants(
    step: Step, status: Status, expected: Ask | None
) -> None:
    assert asked_of(at(step), status) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [(S.RELEASED, Ask.TAKE_BACK), (S.HELD, Ask.TAKE_BACK), (S.PAYING, Ask.FAIL_PAYMENT)],
)
def test_a_part_that_was_asked_to_sell_is_asked_back_however_it_stands(
    status: Status, expected: Ask
) -> None:
    assert asked_of(at(Step.TAKING_BACK), status, is_asked=True) == expected
    assert asked_of(at(Step.TAKEN_BACK), S.RELEASED, is_asked=True) is None
