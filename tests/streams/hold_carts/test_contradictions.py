"""A partition's state of carts contradicts itself where it cannot be, and nowhere else."""

from support.carts.carting import (
    CODECS,
    PARTITIONS,
    SECTIONS,
    Carting,
    best,
    cart_id_of,
    open_cart,
)

from state.domain.carts.parties import Party
from state.domain.carts.statuses import OnFailure
from state.domain.carts.values import Cart
from state.domain.keys import CART
from state.domain.reservation import Status
from state.records.carts import cart_of
from streams.hold_carts.contradictions import contradiction

A, B, _ = SECTIONS
ID = cart_id_of()
HOME = int(ID.rpartition("-")[2])
KEY = CART + ID.encode()


def state() -> dict[bytes, bytes]:
    world = Carting()
    world.send(open_cart(ID, best(A, 1), best(B, 1)))
    return world.driver.stored("cart-commands", HOME)


def found(items: dict[bytes, bytes], partition: int = HOME) -> str:
    return contradiction(sorted(items.items()), partition, PARTITIONS)


def changed(cart: Cart) -> str:
    return found(state() | {KEY: CODECS.stored(cart)})


def test_a_sound_state_has_none() -> None:
    assert found(state()) == ""


def test_what_has_no_place_there_is_named() -> None:
    assert "has no place" in found(state() | {b"x": b""})
    assert "another partition" in found({KEY: state()[KEY]}, (HOME + 1) % PARTITIONS)


def test_what_cannot_be_read_is_named() -> None:
    assert "cannot be read" in found({KEY: b"?"})
    assert "cannot be read" in found({b"p": b"?"})


def test_a_cart_that_is_held_by_halves_is_named() -> None:
    cart = cart_of(state()[KEY])
    first, second = cart.parts
    gone = first._replace(standing=first.standing._replace(status=Status.RELEASED))
    half = cart._replace(parts=(gone, second))
    assert "held by halves" in changed(half)
    assert changed(half._replace(on_failure=OnFailure.KEEP)) == ""
    assert "has no parts" in changed(cart._replace(parts=()))


def test_d12_parties_are_of_parts_and_what_they_were_refused_elsewhere_is_no_half() -> None:
    cart = cart_of(state()[KEY])
    first, second = cart.parts
    refused = first._replace(standing=first.standing._replace(status=Status.REJECTED))
    elsewhere = cart._replace(parts=(refused, second))
    assert "held by halves" in changed(elsewhere)
    assert changed(elsewhere._replace(parties=(Party((b"A", b"B"), (0, 1)),))) == ""
    for parts in ((0, 2), (0, 0), (-1, 1)):
        assert "has parties" in changed(cart._replace(parties=(Party((b"A", b"B"), parts),)))
