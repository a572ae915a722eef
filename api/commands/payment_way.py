"""How a buyer pays, for whatever it is, and how that may stand."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.web.problems import Problem, bad
from infra.process.card_numbers import has_card_number
from state.domain.reasons import ApiReason
from streams.gateways.protocol import Gateway

PARAMETERS_BYTES_MAX: Final = 4_096
"""Most bytes of all parameters together, encoded as in the log."""

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
        # Whatever the gateway takes, also one of somebody else's package.
        if has_card_number(self.method):
            bad("body.method", "never the number of a card")
        if any(map(has_card_number, (*self.parameters, *self.parameters.values()))):
            bad("body.parameters", "a token of the gateway, never the number of a card")
        return name, self.encoded_parameters()


class RefundWish(BaseModel):
    """Nothing has to be said of a refund: all of the money goes back."""

    model_config = _STRICT

    amount: Any = Field(default=None, description="Refused: there are no partial refunds.")

    def check_whole(self) -> None:
        """Raise Problem (409) where part of the money is wanted, whatever part that is."""
        if self.amount is not None:
            raise Problem.of(
                ApiReason.PARTIAL_REFUND,
                "All of the money goes back, and all of the seats: ask without an amount.",
            )


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


class PaymentPending(BaseModel):
    """A payment or refund was asked for. `Location` is where to see what becomes of it."""

    payment_id: str
    status: Literal["PENDING"]


TAKEN: Final[dict[str, Any]] = {"status_code": 202, "response_model": PaymentPending}
"""How an endpoint answers that asks for a payment or a refund."""
