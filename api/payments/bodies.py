"""What requests and answers about payments look like."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.web.problems import bad
from streams.gateways.protocol import Gateway

PARAMETERS_BYTES_MAX: Final = 4_096
"""Most bytes of all parameters together, encoded as in the log."""

_INT_MAX: Final = 2**31 - 1
_STRICT: Final = ConfigDict(extra="forbid", strict=True)

GatewayName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Method = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Value = Annotated[str, StringConstraints(max_length=2_048)]


class PaymentWay(BaseModel):
    """How a buyer pays.

    `parameters` are for the gateway: a token that its own page gave to the buyer, never a card.
    """

    model_config = _STRICT

    method: Method = Field(description="The gateway's name for it, such as `card`.")
    gateway: GatewayName | None = Field(
        default=None, description="If absent: the pod's first one."
    )
    parameters: dict[_Name, _Value] = Field(default={}, max_length=32)

    def encoded_parameters(self) -> bytes:
        """Return the parameters as the log has them; raises Problem for too many bytes."""
        if not self.parameters:
            return b""
        encoded = orjson.dumps(self.parameters, option=orjson.OPT_SORT_KEYS)
        if len(encoded) > PARAMETERS_BYTES_MAX:
            bad("body.parameters", f"at most {PARAMETERS_BYTES_MAX} bytes as JSON")
        return encoded

    def checked(self, names: Sequence[str], gateways: Mapping[str, Gateway]) -> tuple[str, bytes]:
        """Return the gateway's name and the parameters as the log has them.

        names: of the gateways that this pod takes, the first one being that of who names none.
        Raises Problem before anything is written, since a log can be read for a long time.
        """
        name = self.gateway or names[0]
        if name not in names:
            bad("body.gateway", f"one of {', '.join(names)}")
        wrong = gateways[name].wrong_detail(self.method, self.parameters)
        if wrong is not None:
            bad(f"body.{wrong.where}", wrong.why)
        return name, self.encoded_parameters()


class PaymentStart(PaymentWay):
    """How a buyer pays for the seats of a hold. Their price was fixed when they were held.

    `parameters` are for the gateway: a token that its own page gave to the buyer, never a card.
    """

    epoch: int = Field(ge=1, le=_INT_MAX, description="The reservation's epoch, as last seen.")


PaymentStatus = Literal[
    "NOT_STARTED",
    "PENDING",
    "PROCESSING",
    "CAPTURED",
    "DONE",
    "REJECTED",
    "FAILED",
    "EXPIRED",
    "REFUND_DUE",
    "REFUNDED",
    "COMPENSATION_REQUIRED",
]


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


class PaymentPending(BaseModel):
    """A payment or refund was asked for. `Location` is where to see what becomes of it."""

    payment_id: str
    status: Literal["PENDING"]
