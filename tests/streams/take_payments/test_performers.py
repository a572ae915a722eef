"""Performers over a gateway that says what it is told to say."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from support.payments.paying import PARTITION, Paying

from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Heard, Question
from streams.gateways.protocol import (
    Captured,
    Declined,
    NotFound,
    Pending,
    Refunded,
    Refused,
    RefusedReason,
    Unavailable,
    Unknown,
    WrongDetail,
)
from streams.intents import Answer, Intent, NotDone, Result
from streams.route import OTHERS
from streams.take_payments.performers import GatewayPerformers, GatewayTrouble
from streams.take_payments.questions import Asked, Word

ORDER = f"r1.1.{PARTITION}"
NOW = 1_000_000


def captured(order_id: str = ORDER, amount: int = 100) -> Captured:
    return Captured(
        order_id=order_id,
        payment_id="ch_1",
        amount=amount,
        currency="EUR",
        method="card",
        approved_at_ms=1,
    )


def refunded(order_id: str = ORDER, amount: int = 100) -> Refunded:
    return Refunded(
        order_id=order_id,
        payment_id="ch_1",
        refund_id="re_1",
        amount=amount,
        currency="EUR",
        refunded_at_ms=1,
    )


@dataclass
class Saying:
    """A gateway; `answers` by what it is asked."""

    answers: dict[str, Any]
    asked: list[Any] = field(default_factory=list)
    name: str = "mock"
    is_closed: bool = False

    def wrong_detail(self, _method: str, parameters: Any) -> WrongDetail | None:
        return WrongDetail("parameters", "token") if "number" in parameters else None

    async def process(self, charge: Any, timeout_s: float) -> Any:
        self.asked.append((charge, timeout_s))
        return self.answers["process"]

    async def verify(self, order_id: str, timeout_s: float) -> Any:
        self.asked.append((order_id, timeout_s))
        return self.answers["verify"]

    async def refund(self, refund: Any, timeout_s: float) -> Any:
        self.asked.append((refund, timeout_s))
        return self.answers["refund"]

    async def webhook(self, *_: Any) -> Any:
        raise AssertionError

    async def close(self) -> None:
        self.is_closed = True


WAYS = {Question.CHARGE: "process", Question.VERIFY: "verify", Question.REFUND: "refund"}


def intent_of(question: Question, until_ms: int = 0) -> Intent:
    asked = Asked(question, "mock", ORDER, 100, "EUR", "card", '{"token": "t"}', "ch_1", until_ms)
    return Intent(
        id=ORDER + ":1",
        destination="mock",
        idempotency_key="key",
        payload=asked.content(),
        due_ms=0,
        opened_ms=0,
    )


def performed(gateway: Saying, intent: Intent, destination: str = "mock") -> Word:
    performers = GatewayPerformers([gateway], lambda: NOW)

    async def perform() -> bytes:
        return await performers.by_destination[destination](intent)

    return Word.of(asyncio.run(perform()))


@pytest.mark.parametrize(
    ("question", "answer", "heard"),
    [
        (Question.CHARGE, captured(), Heard.CAPTURED),
        (Question.CHARGE, Declined("CARD_DECLINED"), Heard.DECLINED),
        (Question.CHARGE, Pending(), Heard.OPEN),
        (Question.CHARGE, Refused(RefusedReason.BAD_REQUEST), Heard.REFUSED),
        (Question.CHARGE, Refused(RefusedReason.ALREADY_CAPTURED), Heard.OPEN),
        (Question.CHARGE, Refused(RefusedReason.KEY_REUSED), Heard.OPEN),
        (Question.VERIFY, captured(), Heard.CAPTURED),
        # Whoever says so: the payment of another order is not this one's, wherever that lies.
        (Question.CHARGE, captured("r2.1.0"), Heard.OPEN),
        (Question.VERIFY, captured(f"r1.2.{PARTITION}"), Heard.OPEN),
        (Question.VERIFY, refunded("r2.1.0"), Heard.OPEN),
        (Question.REFUND, refunded("r2.1.0"), Heard.OPEN),
        (Question.VERIFY, refunded(), Heard.REFUNDED),
        (Question.VERIFY, refunded(amount=1), Heard.REFUNDED),
        (Question.VERIFY, NotFound(), Heard.NOT_FOUND),
        (Question.VERIFY, Declined("CARD_DECLINED"), Heard.DECLINED),
        (Question.REFUND, refunded(), Heard.REFUNDED),
        (Question.REFUND, refunded(amount=99), Heard.REFUSED),
        (Question.REFUND, NotFound(), Heard.NOT_FOUND),
        (Question.REFUND, Pending(), Heard.NOT_DONE),
    ],
)
def test_each_answer_is_what_it_is_worth(question: Question, answer: Any, heard: Heard) -> None:
    word = performed(Saying({WAYS[question]: answer}), intent_of(question))
    assert word.heard == heard
    if heard == Heard.CAPTURED:
        assert (word.amount, word.currency, word.payment_id) == (100, "EUR", "ch_1")


@pytest.mark.parametrize("question", WAYS)
def test_f53_f54_trouble_is_raised_so_that_the_circuit_counts_it(question: Question) -> None:
    late = Unknown("no answer in time", in_trouble=True)
    with pytest.raises(GatewayTrouble, match="no answer in time"):
        performed(Saying({WAYS[question]: late}), intent_of(question))
    away = Saying({WAYS[question]: Unavailable("sent away", 2.5)})
    with pytest.raises(NotDone, match="sent away") as raised:
        performed(away, intent_of(question))
    assert raised.value.wait_ms == 2_500


@pytest.mark.parametrize("question", WAYS)
def test_a_whole_answer_that_leaves_an_order_open_counts_for_no_circuit(
    question: Question,
) -> None:
    """One buyer's odd order would close the gateway to all others."""
    odd = Unknown("status 400, which is unknown here")
    for unclear in (odd, captured("another"), refunded("another")):
        word = performed(Saying({WAYS[question]: unclear}), intent_of(question))
        assert word.heard == Heard.OPEN
        assert word.detail


def test_a_charge_is_made_with_its_key_and_a_refund_with_its_own() -> None:
    gateway = Saying({"process": captured(), "refund": refunded()})
    performed(gateway, intent_of(Question.CHARGE, until_ms=NOW + 1))
    performed(gateway, intent_of(Question.REFUND))
    (charge, _), (refund, timeout_s) = gateway.asked
    assert (charge.idempotency_key, dict(charge.parameters)) == (f"pay:{ORDER}", {"token": "t"})
    assert (refund.idempotency_key, refund.payment_id) == (f"refund:{ORDER}", "ch_1")
    # Before the executor's own patience ends.
    assert timeout_s < 10


def test_what_a_gateway_takes_no_parameters_of_is_refused_before_it_is_called() -> None:
    gateway, intent = Saying({}), intent_of(Question.CHARGE)
    card = Asked.of(intent.payload)._replace(parameters='{"number": "4242424242424242"}')
    word = performed(gateway, replace(intent, payload=card.content()))
    assert word.heard == Heard.REFUSED
    assert "4242" not in word.detail
    assert not gateway.asked


@pytest.mark.parametrize("question", WAYS)
def test_what_no_gateway_may_be_told_is_refused_and_counts_for_no_circuit(
    question: Question,
) -> None:
    gateway, intent = Saying({}), intent_of(question)
    odd = Asked.of(intent.payload)._replace(order_id="an order", payment_id="ch 1")
    word = performed(gateway, replace(intent, payload=odd.content()))
    assert word.heard == Heard.REFUSED
    assert not gateway.asked


def test_a_charge_whose_time_is_over_is_not_begun() -> None:
    gateway = Saying({})
    assert performed(gateway, intent_of(Question.CHARGE, until_ms=NOW)).heard == Heard.NOT_DONE
    assert gateway.asked == []


def test_f61_a_refund_that_was_done_before_is_looked_up() -> None:
    done = Refused(RefusedReason.ALREADY_REFUNDED)
    gateway = Saying({"refund": done, "verify": refunded()})
    assert performed(gateway, intent_of(Question.REFUND)).heard == Heard.REFUNDED
    gateway = Saying({"refund": done, "verify": captured()})
    assert performed(gateway, intent_of(Question.REFUND)).heard == Heard.OPEN


def test_a_gateway_that_the_worker_has_not_is_never_called_and_answered_for_by_name() -> None:
    for question in WAYS:
        with pytest.raises(NotDone, match="no gateway mock"):
            performed(Saying({}), intent_of(question), OTHERS)


def test_a_gateway_that_is_taken_out_is_asked_nothing_and_its_payment_ends() -> None:
    """By the words of the log, as where a gateway is away: neither seats nor money are left."""
    paying = Paying(("other",))
    paying.start()
    route = paying.driver._routes["payment-commands"]
    for _ in range(200):
        if paying.status() == PurchaseStatus.COMPENSATION_REQUIRED:
            break
        pending, _ = paying.asked()
        assert route.called_as(pending.intent.destination) == OTHERS
        wait_ms = max(1, pending.intent.due_ms - paying.now_ms)
        paying.driver.advance(wait_ms, step_ms=50_000)
        paying.driver.answer(pending, Answer(result=Result.NOT_DONE, may_have_run=False))
    assert paying.status() == PurchaseStatus.COMPENSATION_REQUIRED


@pytest.mark.parametrize("gateways", [("mock",), ("other",), ()])
def test_what_a_log_folds_to_depends_on_no_settings(gateways: tuple[str, ...]) -> None:
    def folded(names: tuple[str, ...]) -> dict[bytes, bytes]:
        paying = Paying(names)
        paying.start()
        paying.captures()
        paying.sold()
        paying.refund()
        assert paying.status() == PurchaseStatus.REFUND_DUE
        return paying.driver.stored("payment-commands", PARTITION)

    assert folded(gateways) == folded(("mock",))


@pytest.mark.parametrize(
    "name", [b"", b"_mock", b"Mock", b"a b", b"m" * 33, b"\xff", "ä".encode()]
)
def test_what_is_no_gateways_name_is_asked_of_nobody(name: bytes) -> None:
    paying = Paying()
    paying.start(gateway=name)
    if paying.record() is not None:
        assert paying.status() == PurchaseStatus.FAILED
    assert not paying.driver.intents("payment-commands")


@pytest.mark.parametrize("epoch", [0, -1])
def test_an_order_of_which_nobody_could_be_told_is_asked_of_nobody(epoch: int) -> None:
    paying = Paying()
    paying.start(epoch=epoch)
    assert not paying.driver.intents("payment-commands")


def test_every_gateway_is_closed_though_one_does_not_close() -> None:
    class Stuck(Saying):
        async def close(self) -> None:
            raise OSError("told so")

    other = Saying({}, name="other")
    performers = GatewayPerformers([Stuck({}), other])
    with pytest.raises(OSError, match="told so"):
        asyncio.run(performers.close())
    assert other.is_closed
    assert set(performers.by_destination) == {"mock", "other", OTHERS}
