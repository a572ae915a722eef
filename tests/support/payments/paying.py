"""The route of payments in memory: its section and its gateway are played by whoever tests."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import topology
from schemas.topics import PAYMENT_COMMANDS, PAYMENT_EVENTS, SECTION_COMMANDS, Topic
from serdes.avro.field_names import field_names
from serdes.decoding import Decoded, TopicDecoder
from serdes.encoding import encoders
from serdes.registry.ids import counted_ids
from state.domain.keys import COMPENSATION, PURCHASE, partition_of, section_key
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Finding, Heard, Question, Say
from state.domain.reasons import Reason
from state.domain.reservation import SaleDecision
from state.records.payment_codecs import PaymentCodecs
from state.records.payments import PAYMENTS, PaymentEncoders, PurchaseRecord, purchase_of
from streams.driver import Pending, TopologyDriver
from streams.intents import Answer, Result
from streams.route import Route
from streams.take_payments import handler
from streams.take_payments.contradictions import contradiction
from streams.take_payments.questions import Asked, Word

IDS = counted_ids()
CODECS = PaymentCodecs.of(IDS)
BY_NAME = encoders(PAYMENT_COMMANDS, IDS)
PODS = PaymentEncoders(IDS)
EVENTS_READ = TopicDecoder(PAYMENT_EVENTS, IDS)
COMMANDS_READ = TopicDecoder(SECTION_COMMANDS, IDS)
PARTITIONS = 4
EVENT, SECTION = 7, "A-1"
PARTITION = partition_of(section_key(EVENT, SECTION), PARTITIONS)
PRICE = 12_500
PAYMENT_MS = 900_000
SEATS = ((b"A-1", 2, 5, 2), (b"A-1", 3, 5, 1))
WAYS = {
    Say.SELL_SEATS: "ConfirmReservation",
    Say.RELEASE_SEATS: "FailPayment",
    Say.TAKE_SEATS_BACK: "RefundSeats",
}


class NamedGateway:
    """A gateway of which only the name is asked."""

    def __init__(self, name: str) -> None:
        self.name = name


def route_of(gateways: Sequence[str] = ("mock",)) -> Route:
    named: Any = [NamedGateway(name) for name in gateways]
    return handler.route(topology.PAYMENTS, CODECS, named, 10_000)


class Told(NamedTuple):
    """A record by its short name, and its fields by theirs."""

    name: str
    fields: dict[str, Any]


class Paying:
    """A driver of the route, with one section; reservation ids name payments.

    gateways: names of those that the worker has.
    """

    def __init__(self, gateways: Sequence[str] = ("mock",)) -> None:
        self.hints = 0
        self.driver = TopologyDriver([route_of(gateways)], partitions=PARTITIONS)
        self.tick()

    @property
    def now_ms(self) -> int:
        return self.driver.log_time_ms

    def identity(self, payment: str, user: str = "ann", section: str = SECTION) -> bytes:
        return CODECS.commands.identity(payment, user, section, EVENT, "ticket-1")

    def send(self, payment: str, value: bytes) -> None:
        """Append a record about a payment."""
        self.driver.pipe(PAYMENT_COMMANDS.name, payment.encode(), value, partition=PARTITION)

    def request(self, payment: str = "r1", **changed: Any) -> bytes:
        """Return a PaymentRequested."""
        fields = {
            "identity": self.identity(payment),
            "outcome_id": b"section-commands:0:1:0",
            "epoch": 1,
            "amount": PRICE,
            "currency": b"EUR",
            "gateway": b"mock",
            "method": b"card",
            "parameters": b'{"token": "t1"}',
            "deadline_ms": self.now_ms + PAYMENT_MS,
        } | changed
        return BY_NAME[PAYMENTS + "PaymentRequested"](*fields.values())

    def start(self, payment: str = "r1", **changed: Any) -> None:
        """Have the section ask for a payment."""
        self.send(payment, self.request(payment, **changed))

    def decided(
        self,
        asked: Say,
        decision: SaleDecision,
        payment: str = "r1",
        *,
        reason: Reason = Reason.UNSPECIFIED,
        epoch: int = 1,
        identity: bytes = b"",
    ) -> None:
        """Have the section answer what it was told."""
        seats = SEATS if decision == SaleDecision.SOLD else ()
        fields = (b"section-commands:0:2:0", asked, epoch, decision, reason, epoch, seats)
        value = BY_NAME[PAYMENTS + "SaleDecided"](identity or self.identity(payment), *fields)
        self.send(payment, value)

    def sold(self, payment: str = "r1") -> None:
        self.decided(Say.SELL_SEATS, SaleDecision.SOLD, payment)

    def hint(
        self, payment: str = "r1", gateway: str = "mock", epoch: int = 1, event: str = ""
    ) -> None:
        """Have a webhook come; one of its own unless `event` names it."""
        order_id = f"{payment}.{epoch}.{PARTITION}"
        self.hints += 1
        self.send(payment, PODS.hint(gateway, event or f"evt_{self.hints}", order_id))

    def refund(self, payment: str = "r1", user: str = "ann", section: str = SECTION) -> None:
        identity = self.identity(payment, user, section)
        self.send(payment, PODS.refund_requested(identity))

    def resolve(
        self,
        finding: Finding,
        payment: str = "r1",
        section: str = SECTION,
        *,
        beside: tuple[str, str] = ("", ""),
    ) -> None:
        """Say what a person found; beside: gateway and payment id of a payment beside it."""
        identity = self.identity(payment, "operator", section)
        self.send(payment, PODS.compensation_resolved(identity, finding, *beside))

    def needs_person(self, payment: str = "r1") -> bool:
        """Say whether a payment is listed for a person."""
        state = self.driver.state(PAYMENT_COMMANDS.name, PARTITION)
        return state.get(COMPENSATION + payment.encode()) is not None

    # --- the gateway -----------------------------------------------------------------------

    def asked(self, payment: str = "r1") -> tuple[Pending, Asked]:
        """Return the open question of a payment."""
        [pending] = [
            one
            for one in self.driver.intents(PAYMENT_COMMANDS.name)
            if one.intent.id.startswith(payment + ".")
        ]
        return pending, Asked.of(pending.intent.payload)

    def question(self, payment: str = "r1") -> Question | None:
        """Return what a gateway is asked for a payment, if anything."""
        record = self.record(payment)
        if record is None or not record.question:
            assert not any(
                one.intent.id.startswith(payment + ".")
                for one in self.driver.intents(PAYMENT_COMMANDS.name)
            )
            return None
        pending, asked = self.asked(payment)
        assert (asked.question, pending.intent.due_ms) == (record.question, record.due_ms)
        return Question(asked.question)

    def says(self, word: Word | Heard, payment: str = "r1") -> None:
        """Have the gateway answer the open question when its time has come."""
        pending, _ = self.asked(payment)
        self.wait_for(pending)
        word = Word(word) if isinstance(word, Heard) else word
        self.driver.answer(pending, Answer(result=Result.ANSWERED, payload=word.payload()))

    def captures(
        self, payment: str = "r1", amount: int = PRICE, currency: str = "EUR", id_: str = "ch_1"
    ) -> None:
        self.says(Word(Heard.CAPTURED, "", amount, currency, id_), payment)

    def ends(self, result: Result, payment: str = "r1", **fields: Any) -> None:
        """Have the open question's call end without an answer."""
        pending, _ = self.asked(payment)
        self.wait_for(pending)
        self.driver.answer(pending, Answer(result=result, **fields))

    def wait_for(self, pending: Pending) -> None:
        self.pass_to(pending.intent.due_ms)

    def pass_to(self, at_ms: int) -> None:
        """Let time pass in steps that a log believes."""
        if at_ms > self.now_ms:
            self.driver.advance(at_ms - self.now_ms, step_ms=50_000)

    def tick(self) -> None:
        self.driver.advance(1)

    # --- what came of it -------------------------------------------------------------------

    def record(self, payment: str = "r1") -> PurchaseRecord | None:
        state = self.driver.state(PAYMENT_COMMANDS.name, PARTITION)
        stored = state.get(PURCHASE + payment.encode())
        return None if stored is None else purchase_of(stored)

    def status(self, payment: str = "r1") -> PurchaseStatus:
        record = self.record(payment)
        assert record is not None
        return PurchaseStatus(record.status)

    def commands(self) -> list[Told]:
        """Return what sections were told since the last look."""
        return self._read(SECTION_COMMANDS, COMMANDS_READ)

    def events(self) -> list[Told]:
        """Return how payments were said to stand since the last look."""
        return self._read(PAYMENT_EVENTS, EVENTS_READ)

    def _read(self, topic: Topic, decoder: TopicDecoder) -> list[Told]:
        told = []
        for record in self.driver.read(topic.name):
            verdict = decoder.decode(record.value)
            assert isinstance(verdict, Decoded), verdict
            assert record.partition == PARTITION
            named = dict(zip(field_names(verdict.name), verdict.fields, strict=True))
            told.append(Told(verdict.name.rpartition(".")[2], named))
        return told


def check(paying: Paying) -> None:
    """Nothing in the whole state contradicts itself."""
    stored = paying.driver.stored(PAYMENT_COMMANDS.name, PARTITION)
    assert contradiction(CODECS)(stored.items(), PARTITION, PARTITIONS) == ""
    assert not paying.driver.dead_letters


def statuses(paying: Paying) -> list[str]:
    return [PurchaseStatus(told.fields["status"]).name for told in paying.events()]


def names(paying: Paying) -> list[str]:
    return [told.name for told in paying.commands()]


def sold(gateways: tuple[str, ...] = ("mock",)) -> Paying:
    """Return a payment that has come to its good end."""
    paying = Paying(gateways)
    paying.start()
    paying.captures()
    paying.sold()
    return paying
