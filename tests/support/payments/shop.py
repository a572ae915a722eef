"""Seats and payments in memory, sold through the books of the mock gateway: logs for the audit."""

from collections.abc import Sequence
from typing import Any

from support.logs.audit_logs import AVRO, letter_headers
from support.payments.claims import SETUP, completed, signed
from support.payments.deadly import Deadly, dying
from support.payments.paying import CODECS, IDS, PODS
from support.seats.section_commands import CODECS as SEAT_CODECS
from support.seats.section_commands import hold_chosen, identity, open_section, start_payment

from infra.gateway.books import Books, ChargeRequest, Entry, Outcome, RefundRequest, erring
from schemas.topics import (
    PAYMENT_COMMANDS,
    PAYMENT_COMPLETED,
    PAYMENT_EVENTS,
    PURCHASE_CONFIRMED,
    RESERVATION_OUTCOMES,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from scripts.auditing.log import Log
from scripts.auditing.schemas import WireFormat
from scripts.auditing.topics import LogRecord
from state.domain.keys import COMPENSATION
from state.domain.purchases.values import Finding, Heard, Question
from state.records.cart_codecs import CartCodecs
from state.stores.envelope import order_of
from state.stores.memory import MemoryStore
from streams.driver import PipedRecord, TopologyDriver
from streams.intents import Answer, Result
from streams.take_payments.questions import Asked, Word
from streams.wiring import Parts
from topology import routes

SEATS, PAYMENTS = SECTION_COMMANDS.name, PAYMENT_COMMANDS.name
PRICE, PAYMENT_MS = 4_000, 60_000
ID_BY_NAME = {
    subject.rpartition(".")[2]: schema_id for subject, schema_id in IDS.id_by_subject.items()
}
WIRE = WireFormat(AVRO, {schema_id: (name, None) for name, schema_id in ID_BY_NAME.items()})


DECODERS = {SEATS: SEAT_CODECS.commands, PAYMENTS: CODECS.records}


class Named:
    """A gateway of which only the name is asked."""

    name = "mock"


class Shop:
    """One section: a row of twelve seats that cost PRICE, and one of four that cost nothing.

    is_slow: what is appended is decided when `relay` is called, and not at once.
    """

    def __init__(self, *, is_slow: bool = False) -> None:
        self.is_slow = is_slow
        named: Any = [Named()]
        codecs = SEAT_CODECS, CODECS, CartCodecs.of(IDS)
        flow = routes(Parts(*codecs, cached_seats=1_000, gateways=named, shops=SETUP))
        self.deadly = Deadly()
        flow = tuple(dying(route, DECODERS, self.deadly) for route in flow)
        # One batch after the other, as workers do: else answers are published before questions.
        self.driver = TopologyDriver(flow, relays=False)
        self.books = Books()
        self.ledger: list[Entry] = []
        self.driver.advance(1)
        opened = open_section(
            "............ ....", currency="EUR", amounts=(PRICE, 0), payment_ms=PAYMENT_MS
        )
        self.pipe(SEATS, *opened)

    @property
    def now_ms(self) -> int:
        return self.driver.log_time_ms

    def pipe(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        self.driver.pipe(topic, key, value)
        self.go_on()

    def go_on(self) -> None:
        if not self.is_slow:
            self.relay()

    def relay(self) -> None:
        while self.driver.relay(SEATS, 0) + self.driver.relay(PAYMENTS, 0):
            pass

    def hold(self, payment: str, seat: int, row: int = 0) -> None:
        self.pipe(SEATS, *hold_chosen(payment, [(row, seat)]))

    def start(self, payment: str, seat: int, row: int = 0) -> None:
        """Hold one seat and start to pay for it."""
        self.hold(payment, seat, row)
        self.pipe(SEATS, *start_payment(payment, parameters=b""))

    def claim(self, payment: str, amount: int = PRICE, **changed: Any) -> None:
        """Have another shop say that it was paid."""
        record = signed(*completed(payment, amount, **changed))
        self.driver.pipe(PAYMENT_COMPLETED.name, record.key, record.value, headers=record.headers)
        self.go_on()

    def charge(self, payment: str, how: str = "", key: str = "") -> None:
        """Let a charge arrive at the gateway, which may err or decline; once for an order.

        key: of another shop that charges; empty for ours.
        """
        order_id = f"{payment}.1.0"
        request = ChargeRequest(
            order_id=order_id, amount=PRICE, currency="EUR", method="card", parameters={}
        )
        wanted = Outcome.DECLINED if how == "declines" else Outcome.CAPTURED
        entry = self.books.charge(request, key or f"pay:{order_id}", self.now_ms, wanted)
        if not isinstance(entry, Entry):
            # Charged under another key already, which whoever asks for the order will hear.
            return
        is_new = self.books.is_new(entry)
        self.keep(erring(entry, amount=True) if how == "errs" and is_new else entry)

    def give_back(self, payment: str, key: str = "") -> None:
        """Let a refund arrive at the gateway; under its key, or somebody's own."""
        order_id = f"{payment}.1.0"
        paid = self.books.standing(order_id)
        assert paid is not None
        request = RefundRequest(order_id=order_id, amount=paid.amount, currency=paid.currency)
        entry = self.books.refund(request, key or f"refund:{order_id}", self.now_ms)
        assert isinstance(entry, Entry)
        self.keep(entry)

    def keep(self, entry: Entry) -> None:
        if self.books.is_new(entry):
            self.books.keep(entry)
            self.ledger.append(entry)

    def ask(self, payment: str, how: str = "") -> None:
        """Put the open question of a payment to the gateway, when its time has come.

        how: errs, declines, refuses; or is away, and does nothing.
        """
        [pending] = [
            one for one in self.driver.intents(PAYMENTS) if one.intent.id.startswith(payment + ".")
        ]
        self.pass_to(pending.intent.due_ms)
        asked = Asked.of(pending.intent.payload)
        if how == "is away":
            self.driver.answer(pending, Answer(result=Result.FAILED))
            self.go_on()
            return
        word = Word(Heard.REFUSED)
        if how != "refuses":
            word = self.word_of(payment, Question(asked.question), how)
        self.driver.answer(pending, Answer(result=Result.ANSWERED, payload=word.payload()))
        self.go_on()

    def word_of(self, payment: str, question: Question, how: str) -> Word:
        """Let the gateway act; return what it says."""
        if question == Question.CHARGE:
            self.charge(payment, how)
        elif question == Question.REFUND:
            self.give_back(payment)
        entry = self.books.standing(f"{payment}.1.0")
        if entry is None:
            return Word(Heard.NOT_FOUND)
        if entry.outcome is Outcome.CAPTURED:
            return Word(Heard.CAPTURED, "", entry.amount, entry.currency, entry.payment_id)
        return Word(Heard.DECLINED if entry.outcome is Outcome.DECLINED else Heard.REFUNDED)

    def hint(self, payment: str) -> None:
        self.pipe(PAYMENTS, payment.encode(), PODS.hint("mock", "evt", f"{payment}.1.0"))

    def want_refund(self, payment: str) -> None:
        value = PODS.refund_requested(identity(payment))
        self.pipe(PAYMENTS, payment.encode(), value)

    def resolve(self, payment: str, finding: Finding, *beside: str) -> None:
        value = PODS.compensation_resolved(identity(payment, user="operator"), finding, *beside)
        self.pipe(PAYMENTS, payment.encode(), value)

    def pass_to(self, at_ms: int) -> None:
        if at_ms > self.now_ms:
            self.driver.advance(at_ms - self.now_ms, step_ms=50_000)

    def is_asked(self, payment: str) -> bool:
        """Say whether the gateway has yet to answer something about a payment."""
        return any(
            one.intent.id.startswith(payment + ".") for one in self.driver.intents(PAYMENTS)
        )

    def needs_person(self, payment: str) -> bool:
        return self.driver.state(PAYMENTS, 0).get(COMPENSATION + payment.encode()) is not None

    def look(self, payment: str) -> None:
        """Do as a person does who finds a payment in the list."""
        entry = self.books.standing(f"{payment}.1.0")
        was_paid = entry is not None and entry.outcome is not Outcome.DECLINED
        if entry is not None and entry.outcome is Outcome.CAPTURED:
            self.give_back(payment, "an operator's")
        self.resolve(payment, Finding.REFUNDED if was_paid else Finding.FOUND_UNPAID)

    def settle(self, payments: Sequence[str]) -> None:
        """Let everything come to rest; the gateway is well, and people look."""
        self.is_slow = False
        for _ in range(40):
            self.relay()
            for payment in payments:
                if self.is_asked(payment):
                    self.ask(payment)
                if self.needs_person(payment):
                    self.look(payment)
            # What a section was told it may be told again.
            self.driver.advance(60_000, step_ms=50_000)
            self.relay()
            if not self.driver.intents(PAYMENTS) and not any(map(self.needs_person, payments)):
                return
        raise AssertionError("it never comes to rest")

    # --- ways that payments go -------------------------------------------------------------

    def paid(self, payment: str, seat: int) -> None:
        self.start(payment, seat)
        self.ask(payment)

    def declined(self, payment: str, seat: int) -> None:
        self.start(payment, seat)
        self.ask(payment, "declines")

    def expired(self, payment: str, seat: int) -> None:
        """The deadline passes, and a last look finds nothing either."""
        self.released(payment, seat)
        self.ask(payment)

    def released(self, payment: str, seat: int) -> None:
        """The deadline passes before the gateway has heard of the charge."""
        self.start(payment, seat)
        self.pass_to(self.now_ms + PAYMENT_MS)
        self.ask(payment, "is away")
        self.ask(payment)

    def late(self, payment: str, seat: int, *, is_taken: bool = False) -> None:
        """The charge arrives when the seat was given back already."""
        self.released(payment, seat)
        if is_taken:
            self.paid(payment + "-other", seat)
        self.charge(payment)
        self.hint(payment)
        self.ask(payment)
        if is_taken:
            self.ask(payment)

    def refunded(self, payment: str, seat: int) -> None:
        self.paid(payment, seat)
        self.want_refund(payment)
        self.ask(payment)

    def unclear(self, payment: str, seat: int) -> None:
        """Another amount is captured, and the gateway will not give it back."""
        self.start(payment, seat)
        self.ask(payment, "errs")
        self.ask(payment, "refuses")

    def claimed(self, payment: str, seat: int, how: str = "") -> None:
        """Another shop charges the buyer of a hold, and says so."""
        self.hold(payment, seat)
        self.charge(payment, how, key=f"shop-{payment}")
        self.claim(payment)
        self.ask(payment)

    def claimed_late(self, payment: str, seat: int) -> None:
        """The hold has lapsed when another shop says that it was paid for."""
        self.hold(payment, seat)
        self.charge(payment, key=f"shop-{payment}")
        self.driver.advance(660_000, step_ms=50_000)
        self.relay()
        self.claim(payment)
        self.ask(payment)
        # Of seats whose payment it did not start a section tells when it is asked once more.
        self.driver.advance(61_000, step_ms=50_000)
        self.relay()

    def claimed_for_nothing(self, payment: str) -> None:
        """Another shop has charged a buyer who holds nothing."""
        self.charge(payment, key=f"shop-{payment}")
        self.claim(payment)
        self.ask(payment)
        self.ask(payment)

    def log(self) -> Log:
        """Return all topics as they would lie on a broker, and the gateway's ledger."""
        return Log(
            WIRE,
            1,
            commands={0: self._records(SEATS)},
            outcomes={0: self._records(RESERVATION_OUTCOMES.name)},
            statuses={0: self._records(SECTION_STATUS.name)},
            changelog={0: self._changelog(SEATS)},
            payments={0: self._records(PAYMENTS)},
            told={0: self._records(PAYMENT_EVENTS.name)},
            purchases={0: self._changelog(PAYMENTS)},
            confirmed={0: self._records(PURCHASE_CONFIRMED.name)},
            ledger=tuple(self.ledger),
            dead_letters={0: self._letters()},
        )

    def _letters(self) -> list[LogRecord]:
        letters = []
        for offset, letter in enumerate(self.driver.dead_letters):
            original = letter.record
            headers = dict(letter_headers(0, original.offset, letter.reason.encode()))
            assert isinstance(original, PipedRecord)
            headers["dead-letter-topic"] = original.topic.encode()
            letters.append(LogRecord(offset, 0, original.key, original.value, (*headers.items(),)))
        return letters

    def _records(self, topic: str) -> list[LogRecord]:
        return [
            LogRecord(record.offset, record.timestamp, record.key, record.value)
            for record in self.driver.log(topic, 0)
        ]

    def _changelog(self, topic: str) -> list[LogRecord]:
        store = self.driver.state(topic, 0).store
        assert isinstance(store, MemoryStore)
        # As compaction would leave them: in the order in which they were written.
        items = sorted(store.stored.items(), key=lambda stored: order_of(stored[1]))
        return [LogRecord(offset, 0, key, value) for offset, (key, value) in enumerate(items)]


def whole_sale() -> Shop:
    """Return a shop in which a payment has gone every way there is."""
    shop = Shop()
    shop.paid("paid", 0)
    shop.declined("declined", 1)
    shop.expired("expired", 2)
    shop.late("reacquired", 3)
    shop.late("lost", 4, is_taken=True)
    shop.start("differing", 5)
    shop.ask("differing", "errs")
    shop.ask("differing")
    shop.refunded("refunded", 6)
    shop.unclear("resolved", 7)
    shop.give_back("resolved", "an operator's")
    shop.resolve("resolved", Finding.REFUNDED)
    shop.unclear("unclear", 8)
    shop.start("free", 0, row=1)
    shop.hold("held", 9)
    return shop
