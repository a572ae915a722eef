"""What requests and answers about payments look like."""

from typing import Annotated, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.web.problems import bad

PARAMETERS_BYTES_MAX: Final = 4_096
"""Of all parameters together, as they stand in the log."""

_INT_MAX: Final = 2**31 - 1
_STRICT: Final = ConfigDict(extra="forbid", strict=True)

Gateway = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Method = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Value = Annotated[str, StringConstraints(max_length=2_048)]


class PaymentStart(BaseModel):
    """How a buyer pays for what is held; what it costs was fixed when it was held.

    `parameters` are the gateway's: a token that its own page gave to the buyer, never a card.
    """

    model_config = _STRICT

    epoch: int = Field(ge=1, le=_INT_MAX, description="That of the reservation as last seen.")
    method: Method = Field(description="Such as `card`, in the gateway's words.")
    gateway: Gateway | None = Field(default=None, description="The first of this pod's if absent.")
    parameters: dict[_Name, _Value] = Field(default={}, max_length=32)

    def encoded_parameters(self) -> bytes:
        """Return the parameters as they stand in the log; raises Problem for too many bytes."""
        if not self.parameters:
            return b""
        encoded = orjson.dumps(self.parameters, option=orjson.OPT_SORT_KEYS)
        if len(encoded) > PARAMETERS_BYTES_MAX:
            bad("body.parameters", f"at most {PARAMETERS_BYTES_MAX} bytes as JSON")
        return encoded


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
    """A payment as it stands.

    NOT_STARTED: nothing was asked of a gateway, the seats are held; REJECTED: nothing ever will
    be, they are not. COMPENSATION_REQUIRED: a person looks after the money.
    """

    payment_id: str = Field(description="That of the reservation that is paid for.")
    status: PaymentStatus
    reservation_status: str
    amount: int = Field(description="In the currency's minor unit, such as cents.")
    currency: str = Field(description="ISO 4217; empty where the seats have no price.")
    gateway: str | None
    booking_number: str | None = Field(description="Once the seats are sold.")
    epoch: int
    deadline_ms: int | None = Field(description="Unix ms; while it is under way.")
    revision: str = Field(description="Opaque; for `changed_from`.")


class PaymentPending(BaseModel):
    """A payment that was asked for: its address tells what becomes of it."""

    payment_id: str
    status: Literal["PENDING"]
