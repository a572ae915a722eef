"""The protocol of payment gateways: four questions, and a closed set of answers to each.

    answer = await gateway.process(charge, timeout_s=10.0)

Every answer is a value, also "nobody knows". A gateway raises only for a bug of ours, and
CancelledError. The caller's next step depends on whether money may have moved:

    Captured, Refunded      money moved;
    Declined, Refused       no money moved, and a repeat would change nothing;
    Unavailable             no money moved: repeat later, with the same idempotency key;
    Pending, Unknown        money may have moved: ask `verify`, then repeat with the same key;
    NotFound                the gateway knows no such order (a request may be on its way), or has
                            captured nothing for it that a refund could give back.

A gateway makes one attempt: pauses, repeats and circuits belong to the caller. There is one
exception: the HTTP library may repeat a look-up once, which changes nothing, after its connection
was reset.
Answers carry amount and currency as the gateway has them; `Captured.pays` compares them with the
charge.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from state.domain.money import AMOUNT_MAX, check_amount, check_currency
from streams.gateways.webhooks import WebhookRefusal

ANSWER_BYTES_MAX: Final = 64 * 1024
"""Most bytes of an answer's body. A longer answer is not read to its end, and is Unknown."""

DETAIL_MAX: Final = 200
"""Most characters of the text for people in an answer; the rest is cut off."""

ID_MAX: Final = 128
"""Most characters of an id that a gateway has made."""

# Neither "." nor "..": an order id is part of a URL's path, where HTTP clients resolve these two.
_ORDER_ID: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.:-]{1,128}")
GATEWAY_ID: Final = re.compile(rf"[!-~]{{1,{ID_MAX}}}")
"""Of payments, refunds and events: what a gateway calls them."""

_KEY: Final = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
GATEWAY_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""Part of the path of webhooks, a label of metrics and the destination of intents."""

_WORD: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_METHOD: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_PARAMETERS_MAX: Final = 32
_NAME_MAX: Final = 64
_VALUE_MAX: Final = 2_048


def _check(pattern: re.Pattern[str], what: str, text: object) -> str:
    if type(text) is not str:
        raise TypeError(f"{what} is a str, not {type(text).__name__}")
    if not pattern.fullmatch(text):
        raise ValueError(f"{what} does not match {pattern.pattern}")
    return text


def check_order_id(order_id: object) -> str:
    """Return an order id that a gateway may be told; TypeError or ValueError for any other."""
    return _check(_ORDER_ID, "an order id", order_id)


def _cut_why(answer: "Unknown | Unavailable | Refused") -> None:
    object.__setattr__(answer, "why", answer.why[:DETAIL_MAX])


def _check_moved(order_id: object, amount: object, currency: object, at_ms: object) -> None:
    check_order_id(order_id)
    check_amount(amount)
    check_currency(currency)
    if type(at_ms) is not int:
        raise TypeError(f"a time is an int in ms, not {type(at_ms).__name__}")
    if not 0 <= at_ms <= AMOUNT_MAX:
        raise ValueError("a time is Unix ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Money that a buyer shall pay for an order, once.

    amount:          minor units, at least 1.
    currency:        ISO 4217.
    idempotency_key: the same for every attempt at this charge; the gateway acts on it once.
    method:          how the buyer pays: `card`, `transfer`, ...
    parameters:      what the gateway must know of the method, such as a token of its own page.
                     They are for the gateway alone, so no repr shows them.

    Raises TypeError or ValueError for anything else; their messages repeat no parameter.
    """

    order_id: str
    amount: int
    currency: str
    idempotency_key: str
    method: str
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        check_order_id(self.order_id)
        check_amount(self.amount)
        check_currency(self.currency)
        _check(_KEY, "an idempotency key", self.idempotency_key)
        _check(_METHOD, "a method", self.method)
        parameters = dict(self.parameters)
        if len(parameters) > _PARAMETERS_MAX:
            raise ValueError(f"more than {_PARAMETERS_MAX} parameters")
        for name, value in parameters.items():
            if type(name) is not str or type(value) is not str:
                raise TypeError("parameters are str by str")
            if not 0 < len(name) <= _NAME_MAX or len(value) > _VALUE_MAX:
                raise ValueError("a parameter's name or value is too long")
        object.__setattr__(self, "parameters", MappingProxyType(parameters))


@dataclass(frozen=True, slots=True)
class WrongDetail:
    """The part of a buyer's way to pay that a gateway does not take.

    where: `method`, `parameters`, or `parameters.` and a name that the gateway knows.
    why:   what the gateway takes there.

    Neither repeats anything that was sent, not even a name: a card number may stand anywhere.
    """

    where: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A request to give back all that was captured for an order. There are no partial refunds.

    amount, currency: as captured, which may differ from what was charged.
    """

    order_id: str
    payment_id: str
    amount: int
    currency: str
    idempotency_key: str

    def __post_init__(self) -> None:
        check_order_id(self.order_id)
        _check(GATEWAY_ID, "a payment id", self.payment_id)
        check_amount(self.amount)
        check_currency(self.currency)
        _check(_KEY, "an idempotency key", self.idempotency_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """The gateway has the buyer's money.

    order_id:       of the payment, as the gateway's answer says, which may be another order than
                    was asked for. By it a payment is applied once, so it is never taken from the
                    question. So in `Refunded`.
    payment_id:     the gateway's id of the payment, unique there.
    amount:         minor units. Amount and currency are the gateway's: compare them by `pays`.
    approved_at_ms: Unix ms by the gateway's clock.

    Raises TypeError or ValueError for impossible values; so does `Refunded`.
    """

    order_id: str
    payment_id: str
    amount: int
    currency: str
    method: str
    approved_at_ms: int

    def __post_init__(self) -> None:
        _check_moved(self.order_id, self.amount, self.currency, self.approved_at_ms)
        _check(GATEWAY_ID, "a payment id", self.payment_id)
        _check(_METHOD, "a method", self.method)

    def pays(self, charge: Charge) -> bool:
        """Say whether this is the money that was charged. If not, give it back and do not sell."""
        return (self.order_id, self.amount, self.currency) == (
            charge.order_id,
            charge.amount,
            charge.currency,
        )


@dataclass(frozen=True, slots=True)
class Declined:
    """The buyer's bank or the gateway does not pay.

    reason: a word such as CARD_DECLINED.
    """

    reason: str

    def __post_init__(self) -> None:
        _check(_WORD, "a reason", self.reason)


@dataclass(frozen=True, slots=True)
class Pending:
    """The gateway has the charge or refund but has not decided yet, or waits for the buyer."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows what happened: there is no answer in time, or none that can be read.

    why:        for people; cut to DETAIL_MAX, and without secrets. So in `Unavailable`, `Refused`.
    in_trouble: there was no whole answer, or it told of the gateway's own trouble (5xx). That
                counts for the gateway's circuit, which stops the calls for all buyers. An answer
                that is odd for one order does not count.
    """

    why: str
    in_trouble: bool = field(default=False, kw_only=True, compare=False)

    def __post_init__(self) -> None:
        _cut_why(self)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing happened: the gateway was not reached, or took no request for now.

    retry_after_s: how long the gateway asked us to wait; 0 where it asked nothing.
    """

    why: str
    retry_after_s: float = 0.0

    def __post_init__(self) -> None:
        _cut_why(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refunded:
    """The gateway gave back all of the money."""

    order_id: str
    payment_id: str
    refund_id: str
    amount: int
    currency: str
    refunded_at_ms: int

    def __post_init__(self) -> None:
        _check_moved(self.order_id, self.amount, self.currency, self.refunded_at_ms)
        _check(GATEWAY_ID, "a payment id", self.payment_id)
        _check(GATEWAY_ID, "a refund id", self.refund_id)


@dataclass(frozen=True, slots=True)
class NotFound:
    """The gateway knows no such order, or has captured nothing for it that could be refunded."""


class RefusedReason(StrEnum):
    """Why a gateway will never do what a request asks for."""

    KEY_REUSED = "KEY_REUSED"
    """The idempotency key was used for something else."""
    ALREADY_CAPTURED = "ALREADY_CAPTURED"
    """The order was charged under another key: `verify` tells what was captured."""
    ALREADY_REFUNDED = "ALREADY_REFUNDED"
    """The order was refunded under another key."""
    PARTIAL_REFUND = "PARTIAL_REFUND"
    NOT_ALLOWED = "NOT_ALLOWED"
    """Our credentials are wrong, or lack a right. A person has to look."""
    BAD_REQUEST = "BAD_REQUEST"
    """The gateway does not take such a request. A person has to look."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway did nothing, and will never do what this request asks for."""

    reason: RefusedReason
    why: str = ""

    def __post_init__(self) -> None:
        _cut_why(self)


ChargeAnswer: TypeAlias = Captured | Declined | Refused | Pending | Unknown | Unavailable
OrderAnswer: TypeAlias = (
    Captured | Refunded | Declined | Pending | NotFound | Refused | Unknown | Unavailable
)
RefundAnswer: TypeAlias = Refunded | Pending | NotFound | Refused | Unknown | Unavailable


@dataclass(frozen=True, slots=True)
class Hint:
    """What a webhook tells whose sender has the secret. It is a hint: only `verify` is believed.

    event_id: the gateway's id of the event, which is the same when it sends the event again.
    kind:     the gateway's name for such events.
    order_id: our order; None where the event is about none of ours.

    Raises TypeError or ValueError for anything else.
    """

    event_id: str
    kind: str
    order_id: str | None

    def __post_init__(self) -> None:
        _check(GATEWAY_ID, "an event id", self.event_id)
        _check(GATEWAY_ID, "an event's kind", self.kind)
        if self.order_id is not None:
            check_order_id(self.order_id)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook as it came in, which nobody has checked yet.

    headers: (name, value) as received, with duplicates. body: raw bytes.
    """

    headers: Sequence[tuple[bytes, bytes]]
    body: bytes = field(repr=False)


class Gateway(Protocol):
    """A payment gateway. One instance serves one event loop until `close`.

    timeout_s: how long the caller waits; where no answer came by then, it is Unknown.
    """

    @property
    def name(self) -> str:
        """Return the name that the gateway is registered under."""
        ...

    def wrong_detail(self, method: str, parameters: Mapping[str, str]) -> WrongDetail | None:
        """Return which part of a charge the gateway would not take, without calling it; or None.

        Only a token that the gateway itself made is taken. Pods ask this before they write
        anything, so that no card number gets into a log.
        """
        ...

    async def process(self, charge: Charge, timeout_s: float) -> ChargeAnswer:
        """Take the money, once for each idempotency key."""
        ...

    async def verify(self, order_id: str, timeout_s: float) -> OrderAnswer:
        """Ask what became of an order. This answer is the truth, whatever webhooks told."""
        ...

    async def refund(self, refund: Refund, timeout_s: float) -> RefundAnswer:
        """Give back all that was captured for an order."""
        ...

    async def webhook(self, delivery: Delivery, now_ms: int) -> Hint | WebhookRefusal:
        """Return the hint of an incoming webhook, or why the webhook is not believed."""
        ...

    async def close(self) -> None:
        """Release connections; calls under way end as Unknown."""
        ...
