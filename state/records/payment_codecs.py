"""All decoders and encoders of payments, made once at start with the registry's schema ids."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.topics import (
    CART_COMMANDS,
    PAYMENT_COMMANDS,
    PAYMENT_EVENTS,
    PURCHASE_CONFIRMED,
)
from serdes.avro.codegen import Decode, Encode, encoder
from serdes.avro.stored import stored_decoder
from serdes.decoding import TopicDecoder
from serdes.encoding import encoders
from serdes.registry.ids import SchemaIds
from state.records.carts import CARTS
from state.records.commands import CommandEncoders
from state.records.names import IDENTITY_FIELDS
from state.records.payments import PAYMENTS, PurchaseRecord

_STATE: Final = "io.seatstream.state."


class GatewayAnswered(NamedTuple):
    """The answer of a gateway to a question.

    word: number of a Heard.
    """

    reservation_id: bytes
    epoch: int
    number: int
    word: int
    amount: int
    currency: bytes
    payment_id: bytes
    wait_ms: int
    detail: bytes


class PaymentHint(NamedTuple):
    """A webhook hints that something happened to a payment."""

    reservation_id: bytes
    epoch: int
    gateway: bytes
    event_id: bytes


class RefundRequested(NamedTuple):
    """A buyer wants the money of a sale back."""

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes


class CompensationResolved(NamedTuple):
    """An operator has found out about a payment.

    finding: number of a Finding, 0 for one that only newer code knows.
    gateway, payment_id: of the payment beside it that was found out about; empty for itself.
    """

    reservation_id: bytes
    user_id: bytes
    correlation_id: bytes
    section: bytes
    event_id: int
    request: bytes
    finding: int
    gateway: bytes = b""
    payment_id: bytes = b""


@dataclass(frozen=True, slots=True)
class PaymentCodecs:
    """Codecs by their use; `codegen` tells the forms of decoded values.

    records:  decodes payment-commands; learns further schema ids while it is used.
    commands: encodes the section-commands by which the section is told.
    settle_cart: encodes the cart-command by which a cart is told.
    changed .. revoked: encode values of records, header included.
    The rest: encode and decode values of the store, without header.
    """

    records: TopicDecoder
    commands: CommandEncoders
    settle_cart: Encode
    changed: Encode
    answered: Encode
    tick: Encode
    confirmed: Encode
    revoked: Encode
    purchase: Encode
    of_gateway: Encode
    read_of_gateway: Decode
    compensation: Encode
    read_compensation: Decode
    counts: Encode
    read_counts: Decode

    @classmethod
    def of(cls, ids: SchemaIds) -> "PaymentCodecs":
        """Return the codecs that write these ids."""
        by_name = encoders(PAYMENT_COMMANDS, ids)
        of_confirmed = encoders(PURCHASE_CONFIRMED, ids)
        return cls(
            records=TopicDecoder(PAYMENT_COMMANDS, ids),
            commands=CommandEncoders(ids),
            settle_cart=encoders(CART_COMMANDS, ids)[CARTS + "SettleCart"],
            changed=encoders(PAYMENT_EVENTS, ids)[PAYMENTS + "PaymentChanged"],
            answered=by_name[PAYMENTS + "GatewayAnswered"],
            tick=by_name[PAYMENTS + "PaymentTick"],
            confirmed=of_confirmed[PAYMENTS + "PurchaseConfirmed"],
            revoked=of_confirmed[PAYMENTS + "PurchaseRevoked"],
            purchase=encoder(_STATE + "Purchase"),
            of_gateway=encoder(_STATE + "PaymentOfGateway"),
            read_of_gateway=stored_decoder(_STATE + "PaymentOfGateway"),
            compensation=encoder(_STATE + "OpenCompensation"),
            read_compensation=stored_decoder(_STATE + "OpenCompensation"),
            counts=encoder(_STATE + "PurchaseCounts"),
            read_counts=stored_decoder(_STATE + "PurchaseCounts"),
        )

    def stored(self, record: PurchaseRecord) -> bytes:
        """Return the Purchase record for the store."""
        return self.purchase(*record[IDENTITY_FIELDS:])

    def told(self, record: PurchaseRecord) -> bytes:
        """Return the PaymentChanged that tells how a purchase stands."""
        return self.changed(
            record.request,
            record.epoch,
            record.status,
            record.amount,
            record.currency,
            record.gateway,
            record.payment_id,
            record.booking_number,
            record.deadline_ms,
            record.changed_at_ms,
            record.question,
            record.tries,
            record.detail,
        )
