"""Records of carts: what lies in their store, and what pods append for them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from schemas.topics import CART_COMMANDS
from serdes.avro.stored import stored_decoder
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds
from state.domain.carts.limits import UNLIMITED, Limits
from state.domain.carts.parties import Party
from state.domain.carts.payment import CartPayment
from state.domain.carts.statuses import OnFailure
from state.domain.carts.values import Cart, Part, Standing, Wanted
from state.domain.layout import SeatPosition, SeatRange

CARTS: Final = "io.seatstream.carts."
_CART: Final = "io.seatstream.state.Cart"

# A named section.
_Named = tuple[bytes]


class OpenCart(NamedTuple):
    """Hold seats in several sections as one; on_failure: number of an OnFailure.

    max_seats_per_user, max_open_holds_per_user: of the event, 0 for no limit.
    """

    cart_id: bytes
    user_id: bytes
    correlation_id: bytes
    event_id: int
    on_failure: int
    items: tuple[tuple[bytes, int, tuple[tuple[int, int], ...], bool, tuple[_Named, ...]], ...]
    max_seats_per_user: int = 0
    max_open_holds_per_user: int = 0


class ReleaseCart(NamedTuple):
    """The buyer gives all parts of a cart back."""

    cart_id: bytes
    user_id: bytes
    correlation_id: bytes
    event_id: int


class ExtendCart(NamedTuple):
    """Let every part that is held run longer; correlation_id names the wish."""

    cart_id: bytes
    user_id: bytes
    correlation_id: bytes
    event_id: int


class PayCart(NamedTuple):
    """The buyer pays for all that is held; amount, currency: what he saw as its price."""

    cart_id: bytes
    user_id: bytes
    correlation_id: bytes
    event_id: int
    amount: int
    currency: bytes
    gateway: bytes
    method: bytes
    parameters: bytes


_read = stored_decoder(_CART)
_read_buyer = stored_decoder("io.seatstream.state.BuyerCarts")


def cart_of(payload: bytes) -> Cart:
    """Return the cart of a stored record; raises Refused for bytes that are none."""
    cart = Cart(*_read(payload, 0))
    return cart._replace(
        parts=tuple(_part(*fields) for fields in cart.parts),
        payment=CartPayment(*cart.payment),
        parties=tuple(Party(*fields) for fields in cart.parties),
    )


def carts_of_buyer(payload: bytes) -> tuple[bytes, ...]:
    """Return the ids in a stored list of a buyer's carts; raises Refused for other bytes."""
    (ids,) = _read_buyer(payload, 0)
    return tuple(ids)


def standing_of(fields: tuple[Any, ...]) -> Standing:
    """Return how a part stands, of a decoded PartStanding."""
    found = Standing(*fields)
    seat = None if found.seat is None else SeatPosition(*found.seat)
    return found._replace(seats=tuple(SeatRange(*one) for one in found.seats), seat=seat)


def part_wanted(section: bytes, seat_count: int, chosen: tuple[Any, ...]) -> Part:
    """Return the part of a new cart that one of its items asks for first."""
    return Part(section, seat_count, tuple(SeatPosition(*seat) for seat in chosen))


def party_wanted(number: int, item: tuple[Any, ...]) -> Party | None:
    """Return the party that an item of OpenCart is, None for none; number: of its first part."""
    section, _, chosen, may_be_parted, others = item
    named = tuple(other for (other,) in others)
    return Party((section, *named), (number,)) if may_be_parted and not chosen else None


def _part(
    section: bytes,
    seat_count: int,
    chosen: tuple[Any, ...],
    asked: int,
    is_extending: bool,
    standing: tuple[Any, ...],
    is_paid: bool,
) -> Part:
    wanted = part_wanted(section, seat_count, chosen)
    stands = standing_of(standing)
    return wanted._replace(
        asked=asked, is_extending=is_extending, standing=stands, is_paid=is_paid
    )


class CartEncoders:
    """What pods append to cart-commands, with the registered schema ids.

    user: of the buyer; correlation: of a wish to extend, the same for each repeat of it.
    """

    def __init__(self, ids: SchemaIds) -> None:
        by_name = encoders(CART_COMMANDS, ids)
        self._open = by_name[CARTS + "OpenCart"]
        self._release = by_name[CARTS + "ReleaseCart"]
        self._extend = by_name[CARTS + "ExtendCart"]
        self._pay = by_name[CARTS + "PayCart"]

    def open_cart(
        self,
        cart_id: str,
        user: str,
        correlation: str,
        event_id: int,
        on_failure: OnFailure,
        items: tuple[Wanted, ...],
        limits: Limits = UNLIMITED,
    ) -> bytes:
        """Return the command that holds all these, or what can be had of them.

        limits: what the event allows each buyer.
        """
        who = cart_id.encode(), user.encode(), correlation.encode(), event_id
        named = tuple((*item[:4], tuple((other,) for other in item[4])) for item in items)
        return self._open(*who, on_failure, named, *limits)

    def release_cart(self, cart_id: str, user: str, correlation: str, event_id: int) -> bytes:
        """Return the command that gives a cart back."""
        return self._release(cart_id.encode(), user.encode(), correlation.encode(), event_id)

    def extend_cart(self, cart_id: str, user: str, correlation: str, event_id: int) -> bytes:
        """Return the command that lets a cart last longer."""
        return self._extend(cart_id.encode(), user.encode(), correlation.encode(), event_id)

    def pay_cart(
        self,
        cart_id: str,
        user: str,
        correlation: str,
        event_id: int,
        price: tuple[int, str],
        way: tuple[str, str, bytes],
    ) -> bytes:
        """Return the command that lets the buyer pay for all that is held.

        price: amount and currency that the buyer saw. way: gateway, method and parameters.
        """
        (amount, currency), (gateway, method, parameters) = price, way
        return self._pay(
            cart_id.encode(),
            user.encode(),
            correlation.encode(),
            event_id,
            amount,
            currency.encode(),
            gateway.encode(),
            method.encode(),
            parameters,
        )
