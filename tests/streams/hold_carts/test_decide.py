"""What each record of cart-commands leads to, and what it must not lead to."""

import pytest
from support.carts.carting import (
    CARTS,
    PARTITIONS,
    SEATS,
    SECTIONS,
    Carting,
    best,
    cart_id_of,
    extend_cart,
    open_cart,
    party,
    release_cart,
)
from support.seats.section_commands import EVENT, Pair, hold

from state.domain.carts.statuses import CartStatus, OnFailure
from state.domain.carts.values import Wanted
from state.domain.keys import cart_key, partition_of
from state.domain.reasons import Reason
from streams.hold_carts.decide import key_of

A, B, C = SECTIONS
ID = cart_id_of()
HOME = partition_of(cart_key(EVENT, b"ann"), PARTITIONS)


def chosen_of(section: str, count: int) -> Wanted:
    return section.encode(), count, tuple((0, at % 60) for at in range(count)), False, ()


def test_a_cart_is_found_by_its_own_id_and_by_its_parts() -> None:
    assert key_of((ID.encode(),)) == key_of((f"{ID}_3".encode(),)) == b"k" + ID.encode()


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (open_cart(ID), "BAD_COUNT"),
        (open_cart(ID, *[best(A, 1)] * 9), "BAD_COUNT"),
        (open_cart(ID, best(A, 1), chosen_of(B, 17)), "BAD_COUNT"),
        (open_cart(ID, *[party(A, 9, B, C)] * 3), "BAD_COUNT"),
        (open_cart(ID, party(A, 9, B), on_failure=OnFailure.KEEP), "BAD_COUNT"),
        # Just below what a decoder takes: stored as a cart it would be above it.
        (open_cart(ID, *[chosen_of(A, 4_050)] * 8), "BAD_COUNT"),
        (open_cart(f"{'a' * 26}-{HOME + 1}", best(A, 1)), "BAD_CART_ID"),
        (open_cart(f"{'1' * 26}-{HOME}", best(A, 1)), "BAD_CART_ID"),
        ((b"7-eve", open_cart(ID, best(A, 1))[1]), "KEY_MISMATCH"),
    ],
)
def test_what_cannot_be_a_cart_is_a_dead_letter(pair: Pair, reason: str) -> None:
    world = Carting()
    world.send(pair)
    assert [letter.reason for letter in world.driver.dead_letters] == [reason]
    assert world.told(SEATS)[-1].topic == SEATS


def test_a_buyer_of_another_partition_is_a_dead_letter() -> None:
    world = Carting()
    key, value = open_cart(ID, best(A, 1))
    world.driver.pipe(CARTS, key, value, partition=(HOME + 1) % PARTITIONS)
    assert [letter.reason for letter in world.driver.dead_letters] == ["WRONG_PARTITION"]


def test_what_is_asked_of_a_cart_that_nobody_knows_leads_to_nothing() -> None:
    world = Carting()
    world.told(SEATS)
    world.send(release_cart(ID), extend_cart(ID, "w"))
    assert world.told(SEATS) == []


def test_a_part_with_a_number_that_its_cart_lacks_is_given_back() -> None:
    world = Carting()
    world.send(open_cart(ID, best(A, 1)))
    world.ask(hold(f"{ID}_1", 1, section=B), hold(f"{ID}_0", 1, section=B))
    assert world.truth(ID, A)[0].name == "HELD"
    assert world.truth_of(ID, 1, B).name == "RELEASED"
    assert world.truth_of(ID, 0, B).name == "RELEASED"
    assert world.cart(ID).status == CartStatus.HELD


def test_s3_15_a_cart_one_of_whose_ids_another_buyer_has_in_that_section_is_refused() -> None:
    world = Carting()
    world.ask(hold(f"{ID}_1", 1, section=B, user="bob"))
    world.send(open_cart(ID, best(A, 1), best(B, 1)))
    cart = world.cart(ID)
    assert (cart.status, cart.is_waiting) == (CartStatus.REJECTED, False)
    assert cart.parts[1].standing.reason == Reason.CONFLICT
    assert [one.name for one in world.truth(ID, A)] == ["RELEASED"]


def test_s3_8_a_cart_that_names_as_many_seats_as_parts_may_have_is_kept() -> None:
    world = Carting()
    world.send(open_cart(ID, *[chosen_of(A, 16)] * 8), release_cart(ID))
    assert world.driver.dead_letters == []
    assert len(world.cart(ID).parts) == 8
