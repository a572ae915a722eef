"""A purchase's open question as an intent, and its answer as a record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, NamedTuple

from state.domain.keys import Order, cart_key, cart_of_payment, split_order_id
from state.domain.purchases.values import Heard, Question
from state.records.names import PaymentRequested
from state.records.payment_codecs import PaymentCodecs
from state.records.payments import PurchaseRecord
from streams.gateways.calls import json_object
from streams.gateways.protocol import GATEWAY_NAME, Charge
from streams.intents import DETAIL_MAX, Answer, Intent, Result

_REFUND_KEY: Final = "refund:"
CALL_MS: Final = 10_000
_WAIT_MS_MAX: Final = 3_600_000


class Asked(NamedTuple):
    """What a performer needs to know of a question: the content of its intent.

    amount, currency: what to charge; of a refund, what was captured.
    until_ms:         when the question ends, Unix ms; 0 for never.
    """

    question: int
    gateway: str
    order_id: str
    amount: int
    currency: str
    method: str
    parameters: str
    payment_id: str
    until_ms: int

    @classmethod
    def of(cls, content: bytes) -> Asked:
        return cls(*json.loads(content))

    def content(self) -> bytes:
        return json.dumps(self).encode()

    def charge(self) -> Charge:
        """Return the charge; ValueError or TypeError where no gateway may be asked for it."""
        parameters = json_object(self.parameters.encode()) if self.parameters else {}
        if parameters is None:
            raise ValueError("parameters that are no JSON object")
        return Charge(
            order_id=self.order_id,
            amount=self.amount,
            currency=self.currency,
            idempotency_key=f"pay:{self.order_id}",
            method=self.method,
            parameters=parameters,
        )


class Word(NamedTuple):
    """What a gateway's answer means to the purchase; a performer returns it as bytes."""

    heard: Heard
    detail: str = ""
    amount: int = 0
    currency: str = ""
    payment_id: str = ""

    @classmethod
    def of(cls, payload: bytes) -> Word:
        heard, *rest = json.loads(payload)
        return cls(Heard(heard), *rest)

    def payload(self) -> bytes:
        return json.dumps(self).encode()


def home_of(about: PurchaseRecord | PaymentRequested) -> bytes:
    """Return the key whose partition a payment lies on: of its cart, else of its section."""
    if cart_of_payment(about.reservation_id) is not None:
        return cart_key(about.event_id, about.user_id)
    return b"%d-%s" % (about.event_id, about.section)


def order_of(record: PurchaseRecord, partition: int) -> Order:
    """Return the order under which gateways know a purchase."""
    return Order(record.reservation_id.decode(), record.epoch, partition)


def asked(record: PurchaseRecord, partition: int) -> Asked:
    """Return a purchase's open question, as its performer needs it."""
    is_refund = record.question == Question.REFUND
    return Asked(
        record.question,
        record.gateway.decode(),
        order_of(record, partition).id,
        record.paid if is_refund else record.amount,
        (record.paid_currency if is_refund else record.currency).decode(),
        record.method.decode(),
        record.parameters.decode(),
        record.payment_id.decode(),
        record.until_ms,
    )


def refusal_to_charge(record: PurchaseRecord, partition: int) -> str:
    """Say why no gateway may be asked to charge; empty where one may."""
    try:
        about = asked(record, partition)
        if not GATEWAY_NAME.fullmatch(about.gateway):
            return "that is no gateway's name"
        if split_order_id(about.order_id) is None:
            # The answer of a gateway to this order could not be assigned to the purchase.
            return "no order of ours: an epoch begins at 1"
        about.charge()
    except (TypeError, ValueError) as error:
        # A UnicodeError would repeat a parameter in its text; our own errors do not.
        is_text = not isinstance(error, UnicodeError)
        return str(error) if is_text else "parameters that are no text"
    return ""


def id_of(record: PurchaseRecord, partition: int) -> str:
    """Return the id of the open question's intent. Each question has an intent of its own."""
    return f"{order_of(record, partition).id}:{record.number}"


def intent_of(record: PurchaseRecord, partition: int, now_ms: int, call_ms: int) -> Intent:
    """Return the open question of a purchase as an intent.

    Its destination is the gateway's name, even if this worker has no such gateway: what is asked
    of whom must not depend on settings; only how long a call may take does. All charges of an
    order have one idempotency key, and so have all its refunds: a gateway does neither twice.
    """
    about = asked(record, partition)
    key = {
        Question.CHARGE: f"pay:{about.order_id}",
        Question.REFUND: f"{_REFUND_KEY}{about.order_id}",
        Question.VERIFY: f"verify:{about.order_id}",
    }
    return Intent(
        id=id_of(record, partition),
        destination=about.gateway,
        idempotency_key=key[Question(record.question)],
        payload=about.content(),
        due_ms=record.due_ms,
        opened_ms=now_ms,
        call_ms=call_ms,
    )


def word_of(answer: Answer, *, is_refund: bool = False) -> Word:
    """Return what the handler is told of an attempt.

    NOT_DONE says that nothing was done, so no earlier attempt may have run. A refund is an
    exception: its only next step is the same refund, whose key repeats what was done before.
    """
    match answer.result:
        case Result.ANSWERED:
            return Word.of(answer.payload)
        case Result.NOT_DONE | Result.NOT_TRIED if is_refund or not answer.may_have_run:
            return Word(Heard.NOT_DONE, answer.detail)
        case _:
            return Word(Heard.OPEN, answer.detail)


def told_answers(codecs: PaymentCodecs) -> Callable[[Intent, Answer], tuple[bytes | None, bytes]]:
    """Return the route's `answer`: a function that makes the record of an answer."""

    def tell(intent: Intent, answer: Answer) -> tuple[bytes | None, bytes]:
        order_id, _, number = intent.id.rpartition(":")
        order = split_order_id(order_id)
        if order is None:
            raise ValueError(f"intent {intent.id} is no question of a purchase")
        word = word_of(answer, is_refund=intent.idempotency_key.startswith(_REFUND_KEY))
        reservation_id = order.reservation_id.encode()
        return reservation_id, codecs.answered(
            reservation_id,
            order.epoch,
            int(number),
            word.heard,
            word.amount,
            word.currency.encode(),
            word.payment_id.encode(),
            max(0, min(answer.wait_ms, _WAIT_MS_MAX)),
            word.detail[:DETAIL_MAX].encode(errors="replace"),
        )

    return tell
