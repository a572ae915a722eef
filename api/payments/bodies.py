"""What requests and answers about payments of holds look like."""

from typing import Final

from pydantic import BaseModel, Field

from api.commands.payment_way import PaymentStatus, PaymentWay

_INT_MAX: Final = 2**31 - 1


class PaymentStart(PaymentWay):
    """How a buyer pays for the seats of a hold. Their price was fixed when they were held.

    `parameters` are for the gateway: a token that its own page gave to the buyer, never a card.
    """

    epoch: int = Field(ge=1, le=_INT_MAX, description="The reservation's epoch, as last seen.")


class PaymentBody(BaseModel):
    """How a payment stands.

    NOT_STARTED: the seats are held or sold, and no gateway was asked for money. REJECTED: the
    reservation has no seats, and no gateway will be asked. COMPENSATION_REQUIRED: a person looks
    after the money.
    """

    payment_id: str = Field(description="The id of the reservation that is paid for.")
    status: PaymentStatus
    reservation_status: str
    amount: int = Field(description="In the currency's minor unit, such as cents.")
    currency: str = Field(description="ISO 4217; empty where the seats have no price.")
    gateway: str | None
    booking_number: str | None = Field(description="Null until the seats are sold.")
    epoch: int
    deadline_ms: int | None = Field(description="Unix ms; null unless the payment is under way.")
    revision: str = Field(description="Opaque; for `changed_from`.")
