"""Carts as they are stored, and what pods append about them."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.carts.carting import CODECS, PODS

from serdes.avro.field_names import field_names
from serdes.avro.refused import Refused
from serdes.decoding import Decoded
from state.domain.carts.parties import Party
from state.domain.carts.payment import Ask, CartPayment, Step
from state.domain.carts.statuses import CartEnd, CartStatus, OnFailure
from state.domain.carts.values import Cart, Part, Standing
from state.domain.layout import SeatPosition, SeatRange
from state.domain.purchases.values import Say
from state.domain.reasons import Reason
from state.domain.reservation import PaymentFailure, ReleaseCause, Status
from state.records import carts
from state.records.carts import (
    CARTS,
    ExtendCart,
    OpenCart,
    PayCart,
    ReleaseCart,
    cart_of,
    carts_of_buyer,
)

NUMBERS = st.integers(0, 1 << 40)
SMALL = st.integers(0, 9)
SEATS = st.lists(st.builds(SeatPosition, SMALL, SMALL), max_size=3).map(tuple)
STANDINGS = st.builds(
    Standing,
    offset=st.integers(-1, 1 << 40),
    ordinal=SMALL,
    status=st.sampled_from(Status),
    epoch=SMALL,
    deadline_ms=NUMBERS,
    version=NUMBERS,
    decided_at_ms=NUMBERS,
    seats=st.lists(st.builds(SeatRange, SMALL, SMALL, SMALL), max_size=2).map(tuple),
    amount=NUMBERS,
    currency=st.sampled_from([b"", b"EUR"]),
    reason=st.sampled_from(Reason),
    seat=st.none() | st.builds(SeatPosition, SMALL, SMALL),
    cause=st.sampled_from(ReleaseCause),
)
PARTS = st.builds(
    Part,
    st.just(b"A-1"),
    NUMBERS,
    SEATS,
    st.sampled_from(Ask),
    st.booleans(),
    STANDINGS,
    st.booleans(),
)
PAYMENTS = st.builds(
    CartPayment,
    step=st.sampled_from(Step),
    turn=SMALL,
    since_ms=NUMBERS,
    wish=st.sampled_from([b"", b"w"]),
    amount=NUMBERS,
    currency=st.sampled_from([b"", b"EUR"]),
    gateway=st.sampled_from([b"", b"mock"]),
    method=st.sampled_from([b"", b"card"]),
    parameters=st.binary(max_size=9),
    saying=st.sampled_from([0, *Say]),
    failure=st.sampled_from(PaymentFailure),
)
PARTIES = st.builds(
    Party,
    st.lists(st.sampled_from([b"A", b"B-1"]), min_size=1, max_size=3).map(tuple),
    st.lists(st.integers(0, 15), min_size=1, max_size=4, unique=True).map(tuple),
)
STORED = st.builds(
    Cart,
    user_id=st.sampled_from([b"ann", "zoë".encode()]),
    event_id=NUMBERS,
    correlation_id=st.sampled_from([b"", b"c"]),
    on_failure=st.sampled_from(OnFailure),
    status=st.sampled_from(CartStatus),
    end=st.sampled_from(CartEnd),
    was_held=st.booleans(),
    asked_at_ms=NUMBERS,
    changed_at_ms=NUMBERS,
    applied_offset=NUMBERS,
    extension=st.sampled_from([b"", b"w"]),
    parts=st.lists(PARTS, max_size=3).map(tuple),
    payment=PAYMENTS,
    is_limited=st.booleans(),
    parties=st.lists(PARTIES, max_size=2).map(tuple),
)


@given(STORED)
def test_what_is_stored_of_a_cart_is_read_as_it_was(cart: Cart) -> None:
    assert cart_of(CODECS.stored(cart)) == cart


@given(st.lists(st.sampled_from([b"a", b"bc", b""]), max_size=3).map(tuple))
def test_what_is_stored_of_a_buyer_is_read_as_it_was(ids: tuple[bytes, ...]) -> None:
    assert carts_of_buyer(CODECS.buyer(ids)) == ids


def test_bytes_that_are_no_cart_are_refused() -> None:
    with pytest.raises(Refused):
        cart_of(b"\x02a")


def snake(names: list[str]) -> list[str]:
    return [re.sub("([A-Z])", lambda match: "_" + match[1].lower(), name) for name in names]


@pytest.mark.parametrize("name", ["OpenCart", "ReleaseCart", "ExtendCart", "PayCart"])
def test_each_record_has_its_fields_named_in_order(name: str) -> None:
    kind: Any = getattr(carts, name)
    assert snake(list(field_names(CARTS + name))) == list(kind._fields)


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        (Cart, "state.Cart"),
        (Part, "types.CartPart"),
        (Party, "types.CartParty"),
        (Standing, "types.PartStanding"),
        (CartPayment, "types.CartPayment"),
    ],
)
def test_values_of_the_domain_have_their_fields_in_the_order_of_their_records(
    kind: Any, record: str
) -> None:
    assert snake(list(field_names("io.seatstream." + record))) == list(kind._fields)


def test_pods_say_what_workers_read() -> None:
    cart_id = f"{'a' * 26}-3"
    who = cart_id.encode(), b"ann", b"c", 7
    items = (b"A-1", 2, (), True, (b"C",)), (b"B", 1, ((0, 3),), False, ())
    named = (b"A-1", 2, (), True, ((b"C",),)), items[1]
    asked = PODS.open_cart(cart_id, "ann", "c", 7, OnFailure.KEEP, items)
    read = CODECS.records.decode
    assert read(asked, ()) == Decoded(CARTS + "OpenCart", OpenCart(*who, OnFailure.KEEP, named))
    released, extended = (
        encode(cart_id, "ann", "c", 7) for encode in (PODS.release_cart, PODS.extend_cart)
    )
    assert read(released, ()) == Decoded(CARTS + "ReleaseCart", ReleaseCart(*who))
    assert read(extended, ()) == Decoded(CARTS + "ExtendCart", ExtendCart(*who))
    paid = PODS.pay_cart(cart_id, "ann", "c", 7, (900, "EUR"), ("mock", "card", b"{}"))
    wanted = PayCart(*who, 900, b"EUR", b"mock", b"card", b"{}")
    assert read(paid, ()) == Decoded(CARTS + "PayCart", wanted)


def test_bytes_are_those_of_the_schemas_worked_out_by_hand() -> None:
    cart_id = f"{'a' * 26}-3"
    items = (b"A-1", 2, (), True, (b"C",)), (b"B", 1, ((0, 3),), False, ())
    value = PODS.open_cart(cart_id, "ann", "c", 7, OnFailure.KEEP, items)
    # A header of five bytes; then 28, 3 and 1 characters, event 7, KEEP, a block of two items.
    assert value[5:] == (
        bytes([56]) + cart_id.encode() + b"\x06ann" + b"\x02c" + b"\x0e" + b"\x04" + b"\x04"
        # Three characters, two seats, none named, that may be parted, also in C.
        + b"\x06A-1" + b"\x04" + b"\x00" + b"\x01" + b"\x02\x02C\x00"
        # One character, one seat, a block of one seat: row 0, seat 3; not parted; all ends.
        + b"\x02B" + b"\x02" + b"\x02\x00\x06\x00" + b"\x00" + b"\x00" + b"\x00"
        # No limits.
        + b"\x00\x00"
    )  # fmt: skip
    part = Part(b"B", 1, (), Ask.RELEASE, is_extending=True, standing=Standing(-1))
    cart = Cart(b"ann", 7, b"", OnFailure.RELEASE, CartStatus.ENDING, CartEnd.CANCELLED,
                True, 1, 2, 3, b"", (part,))  # fmt: skip
    # Nothing is known of the part: offset -1, and 12 fields of one zero byte, `seat` being null.
    standing = b"\x01" + bytes(12)
    # Not paid for; a payment never begun is eleven zero bytes; no limits, no parties.
    assert CODECS.stored(cart) == (
        b"\x06ann" + b"\x0e" + b"\x00" + b"\x02" + b"\x06" + b"\x04" + b"\x01"
        + b"\x02\x04\x06" + b"\x00" + b"\x02"
        + b"\x02B" + b"\x02" + b"\x00" + b"\x04" + b"\x01" + standing + b"\x00"
        + b"\x00" + bytes(11) + b"\x00" + b"\x00"
    )  # fmt: skip
