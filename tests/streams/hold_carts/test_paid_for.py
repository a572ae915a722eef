"""Carts that are paid for as one: all is sold or nothing, and seats and money add up."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.carts.cart_logs import log_with_payments
from support.carts.carting import (
    CARTS,
    HOLD_MS,
    MINUTE_MS,
    PARTITIONS,
    SEATS,
    SECTIONS,
    best,
    extend_cart,
    open_cart,
    party,
    pay_cart,
    release_cart,
)
from support.carts.paid_carts import (
    PAYMENT_MS,
    PAYMENTS,
    PRICE,
    TOPICS,
    PaidCarts,
    id_of,
    user_of,
)
from support.examples import of_whole
from support.seats.section_commands import (
    EVENT,
    claim_payment,
    confirm,
    fail_payment,
    hold,
    release,
    start_payment,
)

from scripts.auditing.checks import audit
from state.domain.carts.payment import Step
from state.domain.carts.statuses import CartStatus, OnFailure
from state.domain.keys import partition_of, section_key
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.reservation import Status
from streams.intents import Answer, Result

A, B, C = SECTIONS
ID = id_of(0)
HOME = int(ID.rpartition("-")[2])
S = Status


def held(*sections: str, prices: tuple[int, ...] = (PRICE,) * 3, **changed: Any) -> PaidCarts:
    """Return a world in which a cart has one seat in each of these sections."""
    world = PaidCarts(prices=prices)
    world.send(open_cart(ID, *(best(section, 1) for section in sections), **changed))
    world.relay_all()
    return world


def paying(*sections: str, prices: tuple[int, ...] = (PRICE,) * 3, **changed: Any) -> PaidCarts:
    """Return a world in which that cart's charge is under way."""
    world = held(*sections, prices=prices, **changed)
    world.pay(ID)
    world.relay_all()
    return world


def status_of(world: PaidCarts) -> PurchaseStatus:
    purchase = world.purchase(ID)
    assert purchase is not None
    return PurchaseStatus(purchase.status)


def test_a_cart_is_charged_once_for_the_sum_of_its_parts_and_sold() -> None:
    world = paying(A, B, C, prices=(PRICE, 2 * PRICE, 0))
    assert world.cart(ID).status == CartStatus.PAYING
    assert world.truth(ID, A, B, C) == [S.PAYING] * 3
    world.answer_all()
    assert world.ledger.captured == {world.order(ID): 3 * PRICE}
    assert (world.cart(ID).status, status_of(world)) == (CartStatus.SOLD, PurchaseStatus.DONE)
    assert world.truth(ID, A, B, C) == [S.SOLD] * 3
    world.settle()
    world.check()


def test_d12_a_party_of_several_sections_is_charged_once_for_all_that_it_has() -> None:
    world = PaidCarts(prices=(PRICE, 2 * PRICE, 0))
    world.send(open_cart(ID, party(A, 5, B)))
    world.relay_all()
    world.pay(ID)
    world.relay_all()
    world.answer_all()
    assert world.ledger.captured == {world.order(ID): 3 * PRICE + 2 * 2 * PRICE}
    assert world.truth(ID, A, B, A, B) == [S.REJECTED, S.REJECTED, S.SOLD, S.SOLD]
    assert (world.cart(ID).status, status_of(world)) == (CartStatus.SOLD, PurchaseStatus.DONE)
    world.settle()
    world.check()
    assert audit(log_with_payments(world)).violations == []


def test_a_cart_that_costs_nothing_is_sold_without_a_payment() -> None:
    world = paying(A, B, prices=(0, 0, 0))
    assert world.truth(ID, A, B) == [S.SOLD, S.SOLD]
    assert world.purchase(ID) is None
    world.settle()
    world.check()


def test_a_declined_charge_gives_all_parts_back() -> None:
    world = paying(A, B)
    world.answer_all("declined")
    assert world.truth(ID, A, B) == [S.RELEASED, S.RELEASED]
    assert (world.cart(ID).status, status_of(world)) == (
        CartStatus.RELEASED,
        PurchaseStatus.FAILED,
    )
    world.settle()
    world.check()


def test_a_refund_takes_all_parts_back() -> None:
    world = paying(A, B)
    world.answer_all()
    world.want_refund(ID, "ann", A)
    world.answer_all()
    assert world.truth(ID, A, B) == [S.REFUNDED, S.REFUNDED]
    assert (world.cart(ID).status, status_of(world)) == (
        CartStatus.REFUNDED,
        PurchaseStatus.REFUNDED,
    )
    world.settle()
    world.check()


def test_where_one_part_cannot_wait_for_the_payment_none_does_and_nobody_is_charged() -> None:
    world = held(A, B)
    # The second one ends before its section hears of the payment, and its cart does not know.
    world.ask(release(f"{ID}_1", section=B))
    for number in range(PARTITIONS):
        world.driver.pass_over(CARTS, number)
    world.pay(ID)
    world.relay_all()
    assert world.cart(ID).payment.step == Step.GIVEN_BACK
    assert world.truth(ID, A, B) == [S.RELEASED, S.RELEASED]
    assert world.purchase(ID) is None
    world.settle()
    world.check()


def paid_late(*sections: str) -> PaidCarts:
    """Return a world in which that cart was given back while its charge is slow."""
    world = paying(*sections)
    world.driver.advance(PAYMENT_MS, step_ms=50_000)
    world.relay_all()
    [charge] = world.driver.intents(PAYMENTS)
    world.answer(charge, "slow")
    world.pass_time(5_000)
    world.answer_all()
    assert world.truth(ID, *sections) == [S.RELEASED] * len(sections)
    return world


@pytest.mark.parametrize("is_taken", [False, True])
def test_money_that_comes_after_the_release_gets_all_seats_again_or_goes_back(
    *, is_taken: bool
) -> None:
    world = paid_late(A, B)
    if is_taken:
        world.ask(hold("other", 3, section=B, user="bob"))
    world.ledger.charge(world.order(ID), 2 * PRICE)
    world.hint(ID)
    world.answer_all()
    if is_taken:
        assert world.truth(ID, A, B) == [S.REFUNDED, S.RELEASED]
    world.settle()
    world.check()
    expected = PurchaseStatus.REFUNDED if is_taken else PurchaseStatus.DONE
    assert status_of(world) == expected


def test_a_sale_whose_word_is_lost_behind_the_refusal_of_another_part_is_taken_back() -> None:
    """Late money: B's seats are gone, and what A did is heard by nobody."""
    world = paid_late(A, B)
    world.ask(hold("other", 3, section=B, user="bob"))
    world.relay_all()
    world.ledger.charge(world.order(ID), 2 * PRICE)
    world.hint(ID)
    world.relay_all()
    for pending in world.driver.intents(PAYMENTS, due=True):
        world.answer(pending)
    for topic, number in ((PAYMENTS, HOME), (CARTS, HOME), (SEATS, on(B))):
        world.driver.relay(topic, number)
    # Both on their way to the cart: the refusal, and behind it the sale, which is lost.
    asked = len(world.driver.log(SEATS, on(A)))
    world.driver.relay(CARTS, HOME)
    assert status_of(world) not in {PurchaseStatus.REFUNDED, PurchaseStatus.FAILED}
    assert len(world.driver.log(SEATS, on(A))) == asked + 1
    world.driver.relay(SEATS, on(A))
    world.driver.pass_over(CARTS, HOME)
    world.settle()
    world.check()
    assert world.truth(ID, A, B) == [S.REFUNDED, S.RELEASED]
    assert status_of(world) == PurchaseStatus.REFUNDED


def test_a_cart_is_paid_for_once_whatever_is_repeated() -> None:
    world = paying(A, B)
    world.send(pay_cart(ID, 2 * PRICE), pay_cart(ID, 2 * PRICE, wish="another", gateway="other"))
    world.relay_all()
    world.answer_all()
    world.send(pay_cart(ID, 2 * PRICE, wish="third"))
    world.settle()
    world.check()
    assert world.ledger.charges == {world.order(ID): 1}


def test_another_sum_than_the_buyer_saw_begins_nothing() -> None:
    world = held(A, B)
    world.send(pay_cart(ID, PRICE), pay_cart(ID, 2 * PRICE, currency="USD"))
    world.relay_all()
    assert world.truth(ID, A, B) == [S.HELD, S.HELD]
    assert world.cart(ID).payment.step == Step.NOTHING


def test_while_it_is_paid_for_a_cart_neither_lapses_nor_can_be_given_back_or_extended() -> None:
    world = paying(A, B)
    world.send(release_cart(ID), extend_cart(ID, "w"))
    world.pass_time(PAYMENT_MS // 2)
    assert world.truth(ID, A, B) == [S.PAYING, S.PAYING]
    assert world.cart(ID).extension == b""


def without(world: PaidCarts, section: str) -> None:
    """Let all but one section decide what lies before them."""
    home = [(CARTS, HOME), (PAYMENTS, HOME)]
    others = [(SEATS, on(one)) for one in SECTIONS if one != section]
    while any(world.driver.relay(*place) for place in (*home, *others)):
        pass


@pytest.mark.parametrize("is_given_back", [False, True])
def test_a_section_that_is_away_while_a_payment_starts_keeps_no_seat_of_another(
    *, is_given_back: bool
) -> None:
    world = held(A, B)
    world.pay(ID)
    without(world, B)
    assert world.truth(ID, A) == [S.PAYING]
    if is_given_back:
        world.send(release_cart(ID))
    else:
        # It hears of nothing that it is asked until then.
        for _ in range(PAYMENT_MS // 50_000 + 2):
            world.driver.pass_over(SEATS, on(B))
            world.driver.advance(50_000)
            without(world, B)
    without(world, B)
    assert world.truth(ID, A) == [S.RELEASED]
    # It comes back; where the buyer did not wait, it has the start of the payment before it.
    world.settle()
    world.check()
    assert world.truth(ID, A, B) == [S.RELEASED, S.RELEASED]
    assert world.purchase(ID) is None


def test_with_keep_what_is_held_is_paid_for() -> None:
    world = PaidCarts()
    world.ask(hold("other", 3, section=B, user="bob"))
    world.send(open_cart(ID, best(A, 1), best(B, 1), on_failure=OnFailure.KEEP))
    world.relay_all()
    world.pay(ID)
    world.answer_all()
    assert world.truth(ID, A, B) == [S.SOLD, S.REJECTED]
    assert world.ledger.captured == {world.order(ID): PRICE}
    world.settle()
    world.check()


def on(section: str) -> int:
    """Return the partition of a section."""
    return partition_of(section_key(EVENT, section), PARTITIONS)


def test_a_record_astray_that_names_a_part_neither_loses_it_nor_stops_its_sale() -> None:
    world = PaidCarts()
    world.send(open_cart(ID, best(A, 1), best(B, 1), on_failure=OnFailure.KEEP))
    _, value = hold(f"{ID}_1", 1, section=B)
    world.driver.pipe(SEATS, section_key(EVENT, A), value, partition=on(A))
    for _ in range(2):
        # The section of the other part is slow.
        world.driver.relay(CARTS, HOME)
        world.driver.relay(SEATS, on(A))
    assert world.cart(ID).status == CartStatus.ASKING
    world.relay_all()
    assert world.truth(ID, A, B) == [S.HELD, S.HELD]
    world.pay(ID)
    world.answer_all()
    assert (world.cart(ID).status, status_of(world)) == (CartStatus.SOLD, PurchaseStatus.DONE)
    world.settle()
    world.check()


def test_a_part_is_never_charged_by_itself_nor_claimed() -> None:
    world = held(A, B)
    claim = claim_payment(f"{ID}_1", PRICE, section=B)
    world.ask(start_payment(f"{ID}_0", section=A), claim)
    world.relay_all()
    assert world.driver.intents(PAYMENTS) == []
    # It is given back, and so the whole is.
    assert world.truth(ID, A, B) == [S.RELEASED, S.RELEASED]


def test_an_id_of_a_carts_payment_is_held_by_nobody() -> None:
    world = held(A, B)
    world.ask(hold(f"{ID}_c", 1, section=A))
    world.relay_all()
    world.pay(ID)
    world.answer_all()
    world.settle()
    world.check()


@pytest.mark.parametrize("lost", range(4))
@pytest.mark.parametrize("topic", [SEATS, CARTS, PAYMENTS])
def test_whatever_is_lost_once_is_asked_or_told_again(topic: str, lost: int) -> None:
    world = held(A, B)
    world.pay(ID)
    met = 0
    for _ in range(12):
        for one, number in product(TOPICS, range(PARTITIONS)):
            is_lost = one == topic and met == lost
            decide = world.driver.pass_over if is_lost else world.driver.relay
            met += bool(decide(one, number)) and one == topic
        for pending in world.driver.intents(PAYMENTS, due=True):
            world.answer(pending)
    for _ in range(4):
        world.pass_time(2 * MINUTE_MS)
        world.answer_all()
    assert (world.cart(ID).status, status_of(world)) == (CartStatus.SOLD, PurchaseStatus.DONE)
    world.settle()
    world.check()


def test_a_sale_that_killed_its_workers_and_is_sent_again_is_taken_back() -> None:
    world = paying(A, B)
    world.deadly.names = {"ConfirmReservation"}
    world.answer_all()
    killed = [letter.record for letter in world.driver.dead_letters]
    assert len(killed) == 2
    # A person looks after it once nobody hopes for the sections any more.
    world.pass_time(60 * MINUTE_MS)
    assert status_of(world) == PurchaseStatus.COMPENSATION_REQUIRED
    world.deadly.names = set()
    world.resolve(ID, looks_again=False)
    world.relay_all()
    assert world.truth(ID, A, B) == [S.RELEASED, S.RELEASED]
    for record in killed:
        world.driver.pipe(SEATS, record.key, record.value)
    world.relay_all()
    assert world.truth(ID, A, B) == [S.REFUNDED, S.REFUNDED]
    world.settle()
    world.check()


# In any order, against what the gateway's books and the sections say.

DEADLY: tuple[frozenset[str], ...] = (
    frozenset({"ConfirmReservation", "FailPayment", "RefundSeats", "StartPayment"}),
    frozenset({"PaymentRequested", "GatewayAnswered", "SaleDecided"}),
    frozenset({"SettleCart", "PartDecided", "PayCart"}),
)
WANTS = st.lists(st.tuples(st.sampled_from(SECTIONS), st.integers(1, 2)), min_size=1, max_size=3)
GATEWAY = ("answered", "lost", "slow", "away", "declined", "less", "refused")
NUMBERS = st.integers(0, 3)


def moves_of(world: PaidCarts, *, is_lossless: bool) -> list[str]:
    """Return what may happen next; is_lossless: nothing that the audit has to find."""
    due = world.driver.intents(PAYMENTS, due=True)
    waits = ["next"] * 4 if world.driver.intents(PAYMENTS) and not due else []
    people = [*("open", "pay", "pay") * 2, "release", "extend", "hint", "refund", "elsewhere"]
    strangers = ["fail", "stranger", "start part", "other hold"]
    brokers = ["all"] * 6 + ["relay"] * 4 + ["lose", "replay", "again", "pass", "deadly", "well"]
    gateway = [*GATEWAY, "answered", "answered"] * bool(due)
    moves = [*people, *strangers, *brokers, *gateway, *waits]
    found = {"lose", "replay", "elsewhere", "again"} if is_lossless else set()
    return [move for move in moves if move not in found]


def step(world: PaidCarts, draw: st.DataObject, *, is_lossless: bool = False) -> None:
    """Let one thing happen."""
    moves = moves_of(world, is_lossless=is_lossless)
    driver, what = world.driver, draw.draw(st.sampled_from(moves))
    number = draw.draw(NUMBERS)
    cart_id, user = id_of(number), user_of(number)
    known = dict(world.carts()).get(cart_id)
    part = draw.draw(st.integers(0, 2))
    match what:
        case "open":
            items = [best(section, count) for section, count in draw.draw(WANTS)]
            on_failure = draw.draw(st.sampled_from([OnFailure.RELEASE, OnFailure.KEEP]))
            world.send(open_cart(cart_id, *items, user=user, on_failure=on_failure))
        case "pay" if known is not None:
            world.pay(cart_id, user)
        case "release":
            world.send(release_cart(cart_id, user))
        case "extend":
            world.send(extend_cart(cart_id, "w", user))
        case "hint" if known is not None:
            world.hint(cart_id)
        case "refund" if known is not None:
            world.want_refund(cart_id, user, known.parts[0].section.decode())
        case "elsewhere" | "fail" | "stranger" | "start part" if known is not None:
            if part < len(known.parts):
                step_of_stranger(world, what, f"{cart_id}_{part}", known.parts[part].section, user)
        case "other hold":
            world.ask(hold(f"o{number}", 1, section=draw.draw(st.sampled_from(SECTIONS))))
        case "all":
            world.relay_all()
        case "relay":
            driver.relay(draw.draw(st.sampled_from([SEATS, CARTS, PAYMENTS])), number)
        case "lose":
            # What a pod wrote of a buyer is not lost: he sees it, and asks again.
            driver.pass_over(draw.draw(st.sampled_from([SEATS, CARTS, PAYMENTS])), number)
        case "replay":
            topic = draw.draw(st.sampled_from([SEATS, CARTS, PAYMENTS]))
            driver.relay(topic, number)
            if log := driver.log(topic, number)[-4:]:
                driver.replay(topic, number, log)
        case "again" if world.seen:
            driver.answer(draw.draw(st.sampled_from(world.seen)), Answer(result=Result.FAILED))
        case "pass":
            driver.advance(
                draw.draw(st.sampled_from([1_000, MINUTE_MS, PAYMENT_MS, HOLD_MS])), step_ms=50_000
            )
        case "next":
            ms = driver.intents(PAYMENTS)[0].intent.due_ms - world.now_ms
            driver.advance(ms, step_ms=50_000)
        case "deadly":
            world.deadly.names = draw.draw(st.sampled_from(DEADLY))
            world.deadly.times = draw.draw(st.sampled_from([1, 1_000]))
        case "well":
            world.deadly.names = set()
        case how if how in GATEWAY:
            due = driver.intents(PAYMENTS, due=True)
            world.answer(draw.draw(st.sampled_from(due)), how)


def step_of_stranger(world: PaidCarts, what: str, part_id: str, section: bytes, user: str) -> None:
    """Let somebody who writes commands do something with a part."""
    match what:
        case "elsewhere":
            world.elsewhere.add(part_id)
            asked = confirm(part_id, section=section.decode(), user=user)
        case "fail":
            asked = fail_payment(part_id, section=section.decode(), user=user)
        case "stranger":
            asked = release(part_id, section=section.decode(), user=user)
        case _:
            asked = start_payment(part_id, section=section.decode(), user=user, parameters=b"")
    world.ask(asked)


@settings(max_examples=of_whole(80))
@given(st.data())
def test_i10_i11_i25_whatever_happens_in_any_order_a_carts_seats_and_money_add_up(
    data: st.DataObject,
) -> None:
    world = paying(A, B) if data.draw(st.booleans()) else held(A, B)
    for _ in range(data.draw(st.integers(0, 40))):
        step(world, data)
    world.settle()
    world.check()


@settings(max_examples=of_whole(30))
@given(st.data())
def test_i10_the_audit_finds_nothing_where_nothing_was_lost(data: st.DataObject) -> None:
    world = paying(A, B) if data.draw(st.booleans()) else held(A, B)
    for _ in range(data.draw(st.integers(0, 30))):
        step(world, data, is_lossless=True)
    world.settle()
    world.check()
    report = audit(log_with_payments(world))
    assert report.violations == []
    assert report.is_at_rest
    assert report.captured - report.refunded == report.price_of_sold
