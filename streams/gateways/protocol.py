"""What a payment gateway is to us: four questions, and a closed set of answers to each.

    answer = await gateway.process(charge, timeout_s=10.0)

An answer is a value, also where nothing is known: a gateway raises only what is a mistake of ours,
and CancelledError. What decides the caller's next step is whether money may have moved:

    Captured, Refunded      it did;
    Declined, Refused       it did not, and repeating changes nothing;
    Unavailable             it did not: repeat later, with the same idempotency key;
    Pending, Unknown        it may have: ask `verify`, then repeat with the same key;
    NotFound                the gateway knows no such order (a request may be on its way), or has
                            captured nothing for it that a refund could give back.

A gateway makes one attempt, without retries: pauses, repeats and circuits belong to the caller.
Only a look-up, which changes nothing, may be repeated once by the HTTP library, where its
connection was reset.
Answers carry amount and currency as the gateway has them; `Captured.pays` compares.
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
"""What more a gateway says is not read: then nobody knows its answer."""

DETAIL_MAX: Final = 200
"""Characters of what an answer tells people; the rest is cut off."""

ID_MAX: Final = 128
"""Characters of an id that a gateway has made."""

# Neither "." nor "..": an id is part of a URL's path, which loses them on the way.
_ORDER_ID: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.:-]{1,128}")
_GATEWAY_ID: Final = re.compile(rf"[!-~]{{1,{ID_MAX}}}")
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
    """Return an id of ours that a gateway may be told; TypeError or ValueError otherwise."""
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
    parameters:      what the gateway wants to know of the method: a token of its own page, say.
                     They are nobody else's business, and are in no repr.

    TypeError or ValueError for anything else, and neither repeats a parameter.
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
    """What a gateway does not take of how a buyer pays.

    where: `method`, `parameters`, or `parameters.` and a name that the gateway knows. why: what it
    takes. Neither repeats what was sent, names included: a card's number may stand anywhere.
    """

    where: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """All that was captured for an order, given back. There are no partial refunds.

    amount, currency: as captured, which may differ from what was asked for.
    """

    order_id: str
    payment_id: str
    amount: int
    currency: str
    idempotency_key: str

    def __post_init__(self) -> None:
        check_order_id(self.order_id)
        _check(_GATEWAY_ID, "a payment id", self.payment_id)
        check_amount(self.amount)
        check_currency(self.currency)
        _check(_KEY, "an idempotency key", self.idempotency_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """The money is there. TypeError or ValueError for what cannot be so, as in `Refunded`.

    payment_id:     the gateway's, unique there.
    amount:         minor units, with its currency as the gateway has them: compare with `pays`.
    approved_at_ms: Unix ms by the gateway's clock.
    """

    order_id: str
    payment_id: str
    amount: int
    currency: str
    method: str
    approved_at_ms: int

    def __post_init__(self) -> None:
        _check_moved(self.order_id, self.amount, self.currency, self.approved_at_ms)
        _check(_GATEWAY_ID, "a payment id", self.payment_id)
        _check(_METHOD, "a method", self.method)

    def pays(self, charge: Charge) -> bool:
        """Tell whether this is what was asked for; where not, do not sell, give it back."""
        return (self.order_id, self.amount, self.currency) == (
            charge.order_id,
            charge.amount,
            charge.currency,
        )


@dataclass(frozen=True, slots=True)
class Declined:
    """The buyer's bank or the gateway does not pay. reason: a word such as CARD_DECLINED."""

    reason: str

    def __post_init__(self) -> None:
        _check(_WORD, "a reason", self.reason)


@dataclass(frozen=True, slots=True)
class Pending:
    """The gateway has the charge and has not decided yet, or waits for the buyer."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows what happened: no answer in time, a reset, or one that cannot be read.

    why: for people, cut to DETAIL_MAX, and no secret in it; as in `Unavailable`, `Refused`.
    in_trouble: no whole answer, or one that speaks of the gateway's own trouble (5xx): counts for
                its circuit, which closes it to all buyers. An answer that is odd for one order
                does not.
    """

    why: str
    in_trouble: bool = field(default=False, kw_only=True, compare=False)

    def __post_init__(self) -> None:
        _cut_why(self)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing happened: the gateway was not reached, or sent us away.

    retry_after_s: as the gateway asked, else 0.
    """

    why: str
    retry_after_s: float = 0.0

    def __post_init__(self) -> None:
        _cut_why(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refunded:
    """The money was given back, all of it."""

    order_id: str
    payment_id: str
    refund_id: str
    amount: int
    currency: str
    refunded_at_ms: int

    def __post_init__(self) -> None:
        _check_moved(self.order_id, self.amount, self.currency, self.refunded_at_ms)
        _check(_GATEWAY_ID, "a payment id", self.payment_id)
        _check(_GATEWAY_ID, "a refund id", self.refund_id)


@dataclass(frozen=True, slots=True)
class NotFound:
    """The gateway knows no such order, or none that a refund could give back."""


class RefusedReason(StrEnum):
    """Why a gateway will not do it, however often it is asked."""

    KEY_REUSED = "KEY_REUSED"
    """The idempotency key was used for something else."""
    ALREADY_CAPTURED = "ALREADY_CAPTURED"
    """The order was charged under another key: `verify` tells what was captured."""
    ALREADY_REFUNDED = "ALREADY_REFUNDED"
    """The same of a refund."""
    PARTIAL_REFUND = "PARTIAL_REFUND"
    NOT_ALLOWED = "NOT_ALLOWED"
    """Our credentials are wrong, or lack a right. A person has to look."""
    BAD_REQUEST = "BAD_REQUEST"
    """The gateway does not take such a request. A person has to look."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The request is one that the gateway will not perform; it did nothing."""

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
    """A webhook whose sender has the secret. What it tells is a hint: `verify` knows the truth.

    event_id: the gateway's, the same when it sends the event again.
    kind:     as the gateway calls it.
    order_id: ours; None where the event is about none.

    TypeError or ValueError for anything else.
    """

    event_id: str
    kind: str
    order_id: str | None

    def __post_init__(self) -> None:
        _check(_GATEWAY_ID, "an event id", self.event_id)
        _check(_GATEWAY_ID, "an event's kind", self.kind)
        if self.order_id is not None:
            check_order_id(self.order_id)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook as it came in, before anything is believed of it.

    headers: (name, value) as received, duplicates and all. body: raw, before any parsing.
    """

    headers: Sequence[tuple[bytes, bytes]]
    body: bytes = field(repr=False)


class Gateway(Protocol):
    """A payment gateway. One instance serves one event loop until `close`.

    timeout_s: how long the caller waits; what was not answered by then is Unknown.
    """

    @property
    def name(self) -> str:
        """Return the name it is registered under."""
        ...

    def wrong_detail(self, method: str, parameters: Mapping[str, str]) -> WrongDetail | None:
        """Say what of a charge it would not take; None for nothing. Asks nobody.

        Pods ask before anything is written, so that nobody's card comes to lie in a log: whatever
        is no token of the gateway's own is refused.
        """
        ...

    async def process(self, charge: Charge, timeout_s: float) -> ChargeAnswer:
        """Take the money. The same key again has the same effect once."""
        ...

    async def verify(self, order_id: str, timeout_s: float) -> OrderAnswer:
        """Ask what became of an order: the truth, whatever else was heard."""
        ...

    async def refund(self, refund: Refund, timeout_s: float) -> RefundAnswer:
        """Give back all that was captured for an order."""
        ...

    async def webhook(self, delivery: Delivery, now_ms: int) -> Hint | WebhookRefusal:
        """Say what an incoming webhook hints at, or why it is not believed."""
        ...

    async def close(self) -> None:
        """Release connections; calls under way end as Unknown."""
        ...
