"""Every decoder and encoder of carts: made once at start, from the registry's schema ids."""

from dataclasses import dataclass
from typing import Final

from schemas.topics import CART_COMMANDS, PAYMENT_COMMANDS
from serdes.avro.codegen import Encode
from serdes.codecs import Codecs, made, read_from, stored_as, written_to
from serdes.decoding import TopicDecoder
from state.domain.carts.values import Cart
from state.records.carts import CARTS
from state.records.commands import CommandEncoders
from state.records.payments import PAYMENTS

_CART: Final = "io.seatstream.state.Cart"


@dataclass(frozen=True, slots=True)
class CartCodecs(Codecs):
    """Codecs by the role they play; forms of decoded values as told in `codegen`.

    records:  bytes of cart-commands to records; learns other ids while it is used.
    commands: values of section-commands, by which sections are asked.
    payment_requested, sale_decided, tick: fields to a value of the wire, header included.
    cart, buyer: fields to a value of the store, without header.
    """

    records: TopicDecoder = read_from(CART_COMMANDS)
    commands: CommandEncoders = made(CommandEncoders)
    payment_requested: Encode = written_to(PAYMENT_COMMANDS, PAYMENTS + "PaymentRequested")
    sale_decided: Encode = written_to(PAYMENT_COMMANDS, PAYMENTS + "SaleDecided")
    tick: Encode = written_to(CART_COMMANDS, CARTS + "CartTick")
    cart: Encode = stored_as(_CART)
    buyer: Encode = stored_as("io.seatstream.state.BuyerCarts")

    def stored(self, cart: Cart) -> bytes:
        """Return the Cart record."""
        return self.cart(*cart)
