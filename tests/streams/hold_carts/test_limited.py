"""Carts of events with limits: whatever a buyer asks for, and in what order, he has no more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.carts.carting import (
    CARTS,
    HOLD_MS,
    MINUTE_MS,
    PARTITIONS,
    SEATS,
    SECTIONS,
    Carting,
    best,
    cart_id_of,
    open_cart,
    release_cart,
)
from support.examples import of_whole
from support.seats.section_commands import EVENT, confirm

from state.domain.carts.limits import Limits
from state.domain.carts.statuses import CartStatus, OnFailure
from state.domain.carts.values import Cart
from state.domain.keys import BUYER, CART, cart_key
from state.domain.reasons import Reason
from state.domain.reservation import Status
from state.records.carts import cart_of, carts_of_buyer
from streams.hold_carts.contradictions import contradiction

A, B, C = SECTIONS
S = Status
THREE = Limits(max_seats=3)
HAS_SEATS = {S.HELD, S.PAYING, S.SOLD}


def listed(world: Carting, user: str = "ann") -> tuple[bytes, ...]:
    buyer = cart_key(EVENT, user.encode())
    stored = world.driver.get(CARTS, buyer, BUYER + buyer)
    return () if stored is None else carts_of_buyer(stored)


def first_part(cart: Cart) -> tuple[Status, Reason]:
    standing = cart.parts[0].standing
    return Status(standing.status), Reason(standing.reason)


def test_b64_d23_a_cart_above_the_limit_is_refused_as_a_whole_and_no_section_is_asked() -> None:
    world = Carting()
    world.send(open_cart(cart_id_of(0), best(A, 2), limits=THREE))
    world.told(SEATS)
    for on_failure in (OnFailure.RELEASE, OnFailure.KEEP):
        number = int(on_failure)
        wish = open_cart(
            cart_id_of(number), best(B, 1), best(C, 1), limits=THREE, on_failure=on_failure
        )
        world.send(wish)
        refused = world.cart(cart_id_of(number))
        assert refused.status == CartStatus.REJECTED
        assert first_part(refused) == (S.REJECTED, Reason.HOLD_LIMIT)
    assert world.told(SEATS) == []
    assert listed(world) == (cart_id_of(0).encode(),)


def test_what_is_given_back_can_be_had_again_and_what_was_sold_cannot() -> None:
    world = Carting()
    first, second, third = (cart_id_of(number) for number in range(3))
    world.send(open_cart(first, best(A, 2), limits=THREE), release_cart(first))
    assert listed(world) == ()
    world.send(open_cart(second, best(A, 3), limits=THREE))
    world.ask(confirm(f"{second}_0", section=A))
    assert world.cart(second).status == CartStatus.SOLD
    world.send(open_cart(third, best(B, 1), limits=THREE))
    assert world.cart(third).status == CartStatus.REJECTED


def test_other_buyers_and_carts_without_limits_are_not_counted() -> None:
    world = Carting()
    bobs = cart_id_of(0, "bob")
    world.send(
        open_cart(cart_id_of(0), best(A, 2)),
        open_cart(bobs, best(A, 2), limits=THREE, user="bob"),
        open_cart(cart_id_of(1), best(B, 3), limits=THREE),
    )
    assert world.cart(cart_id_of(1)).status == CartStatus.HELD
    assert world.cart(bobs, "bob").status == CartStatus.HELD


def test_a_repeat_is_no_second_wish() -> None:
    world = Carting()
    for _ in range(2):
        world.send(open_cart(cart_id_of(0), best(A, 3), limits=THREE))
    assert world.cart(cart_id_of(0)).status == CartStatus.HELD
    assert listed(world) == (cart_id_of(0).encode(),)


def test_d23_open_holds_are_limited_by_their_number() -> None:
    world = Carting()
    two = Limits(max_open_holds=2)
    world.send(open_cart(cart_id_of(0), best(A, 1), best(B, 1), limits=two))
    world.send(open_cart(cart_id_of(1), best(C, 1), limits=two))
    assert world.cart(cart_id_of(1)).status == CartStatus.REJECTED
    world.ask(confirm(f"{cart_id_of(0)}_0", section=A))
    world.send(open_cart(cart_id_of(2), best(C, 1), limits=two))
    assert world.cart(cart_id_of(2)).status == CartStatus.HELD


HAPPENS = st.one_of(
    st.tuples(st.just("open"), st.integers(0, 7), st.sampled_from(SECTIONS), st.integers(1, 3)),
    st.tuples(st.sampled_from(["release", "confirm"]), st.integers(0, 7), st.just(A), st.just(0)),
    st.tuples(st.just("relay"), st.integers(0, 3), st.sampled_from([CARTS, SEATS]), st.just(0)),
    st.tuples(st.just("pass"), st.sampled_from([MINUTE_MS, HOLD_MS]), st.just(A), st.just(0)),
)


def happen(world: Carting, what: str, number: int, name: str, count: int) -> None:
    cart_id = cart_id_of(number % 8)
    match what:
        case "open":
            world.send(open_cart(cart_id, best(name, count), best(A, 1), limits=THREE))
        case "release":
            world.send(release_cart(cart_id))
        case "confirm":
            world.ask(confirm(f"{cart_id}_1", section=A))
        case "relay":
            world.driver.relay(name, number)
        case _:
            world.driver.advance(number)


@settings(max_examples=of_whole(40))
@given(st.lists(HAPPENS, max_size=30))
def test_i25_in_any_order_no_buyer_has_more_than_the_limit(
    happened: list[tuple[str, int, str, int]],
) -> None:
    world = Carting(("....",) * 3, relays=False)
    world.relay_all()
    for one in happened:
        happen(world, *one)
        check(world)
    world.relay_all()
    check(world)


def check(world: Carting) -> None:
    seats = 0
    for number in range(PARTITIONS):
        stored = world.driver.stored(CARTS, number)
        assert contradiction(stored.items(), number, PARTITIONS) == ""
        for key, payload in stored.items():
            if key.startswith(CART):
                cart_id, parts = key.removeprefix(CART).decode(), cart_of(payload).parts
                seats += sum(
                    part.seat_count
                    for at, part in enumerate(parts)
                    if world.truth_of(cart_id, at, part.section.decode()) in HAS_SEATS
                )
    assert seats <= THREE.max_seats


@pytest.mark.parametrize("change", ["listed", "unlisted"])
def test_a_list_that_is_not_that_of_the_carts_is_named(change: str) -> None:
    world = Carting()
    world.send(open_cart(cart_id_of(0), best(A, 2), limits=THREE))
    home = int(cart_id_of(0).rpartition("-")[2])
    items = world.driver.stored(CARTS, home)
    buyer = BUYER + cart_key(EVENT, b"ann")
    assert contradiction(sorted(items.items()), home, PARTITIONS) == ""
    if change == "unlisted":
        del items[buyer]
    else:
        del items[CART + cart_id_of(0).encode()]
    assert "counts for" in contradiction(sorted(items.items()), home, PARTITIONS)
