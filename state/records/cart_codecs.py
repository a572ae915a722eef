"""Every decoder and encoder of carts: made once at start, from the registry's schema ids."""

from dataclasses import dataclass
from typing import Final

from schemas.topics import CART_COMMANDS, PAYMENT_COMMANDS
from serdes.avro.codegen import Encode, encoder
from serdes.decoding import TopicDecoder
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds
from state.domain.carts.cart import Cart
from state.records.carts import CARTS
from state.records.commands import CommandEncoders
from state.records.payments import PAYMENTS

_CART: Final = "io.seatstream.state.Cart"


@dataclass(frozen=True, slots=True)
class CartCodecs:
    """Codecs by the role they play; forms of decoded values as told in `codegen`.

    records:  bytes of cart-commands to records; learns other ids while it is used.
    commands: values of section-commands, by which sections are asked.
    payment_requested, sale_decided, tick: fields to a value of the wire, header included.
    cart, buyer: fields to a value of the store, without header.
    """

    records: TopicDecoder
    commands: CommandEncoders
    payment_requested: Encode
    sale_decided: Encode
    tick: Encode
    cart: Encode
    buyer: Encode

    @classmethod
    def of(cls, ids: SchemaIds) -> "CartCodecs":
        """Return the codecs that write these ids."""
        of_payments = encoders(PAYMENT_COMMANDS, ids)
        return cls(
            records=TopicDecoder(CART_COMMANDS, ids),
            commands=CommandEncoders(ids),
            payment_requested=of_payments[PAYMENTS + "PaymentRequested"],
            sale_decided=of_payments[PAYMENTS + "SaleDecided"],
            tick=encoders(CART_COMMANDS, ids)[CARTS + "CartTick"],
            cart=encoder(_CART),
            buyer=encoder("io.seatstream.state.BuyerCarts"),
        )

    def stored(self, cart: Cart) -> bytes:
        """Return the Cart record."""
        return self.cart(*cart)
