"""All decoders and encoders of payments, made once at start with the registry's schema ids."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.topics import (
    CART_COMMANDS,
    PAYMENT_COMMANDS,
    PAYMENT_EVENTS,
    PURCHASE_CONFIRMED,
)
from serdes.avro.codegen import Decode, Encode
from serdes.codecs import Codecs, made, read_as, read_from, stored_as, written_to
from serdes.decoding import TopicDecoder
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
class PaymentCodecs(Codecs):
    """Codecs by their use; `codegen` tells the forms of decoded values.

    records:  decodes payment-commands; learns further schema ids while it is used.
    commands: encodes the section-commands by which the section is told.
    settle_cart: encodes the cart-command by which a cart is told.
    changed .. revoked: encode values of records, header included.
    The rest: encode and decode values of the store, without header.
    """

    records: TopicDecoder = read_from(PAYMENT_COMMANDS)
    commands: CommandEncoders = made(CommandEncoders)
    settle_cart: Encode = written_to(CART_COMMANDS, CARTS + "SettleCart")
    changed: Encode = written_to(PAYMENT_EVENTS, PAYMENTS + "PaymentChanged")
    answered: Encode = written_to(PAYMENT_COMMANDS, PAYMENTS + "GatewayAnswered")
    tick: Encode = written_to(PAYMENT_COMMANDS, PAYMENTS + "PaymentTick")
    confirmed: Encode = written_to(PURCHASE_CONFIRMED, PAYMENTS + "PurchaseConfirmed")
    revoked: Encode = written_to(PURCHASE_CONFIRMED, PAYMENTS + "PurchaseRevoked")
    purchase: Encode = stored_as(_STATE + "Purchase")
    of_gateway: Encode = stored_as(_STATE + "PaymentOfGateway")
    read_of_gateway: Decode = read_as(_STATE + "PaymentOfGateway")
    compensation: Encode = stored_as(_STATE + "OpenCompensation")
    read_compensation: Decode = read_as(_STATE + "OpenCompensation")
    counts: Encode = stored_as(_STATE + "PurchaseCounts")
    read_counts: Decode = read_as(_STATE + "PurchaseCounts")

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
