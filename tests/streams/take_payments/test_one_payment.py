"""I11: one payment of a gateway sells one hold, also where two payments lie on two partitions."""

import asyncio
from typing import Any

import pytest
from support.payments.paying import BY_NAME, CODECS, COMMANDS_READ, PARTITIONS, PAYMENT_MS, PRICE

import topology
from schemas.topics import PAYMENT_COMMANDS, SECTION_COMMANDS
from serdes.decoding import Decoded
from state.domain.keys import PURCHASE, partition_of, section_key
from state.domain.purchases.statuses import PurchaseStatus
from state.records.payments import COMPLETED, PAYMENTS, purchase_of
from streams.driver import TopologyDriver
from streams.gateways.protocol import Captured, NotFound
from streams.intents import Answer, Intent, Result
from streams.take_payments import handler
from streams.take_payments.performers import GatewayPerformers

EVENT = 7
SECTIONS = {"r1": "A-1", "r2": "C-1"}
PLACES = {one: partition_of(section_key(EVENT, SECTIONS[one]), PARTITIONS) for one in SECTIONS}


class OnePayment:
    """A gateway that makes one payment, and tells of it whatever charge it is asked for."""

    name = "mock"

    def __init__(self) -> None:
        self.order_id = ""

    def wrong_detail(self, *_: Any) -> None:
        return None

    async def process(self, charge: Any, timeout_s: float) -> Captured:
        del timeout_s
        self.order_id = self.order_id or charge.order_id
        return self._payment()

    async def verify(self, order_id: str, timeout_s: float) -> Captured | NotFound:
        del timeout_s
        return self._payment() if order_id == self.order_id else NotFound()

    async def refund(self, *_: Any) -> Any:
        raise AssertionError

    async def webhook(self, *_: Any) -> Any:
        raise AssertionError

    async def close(self) -> None:
        return None

    def _payment(self) -> Captured:
        return Captured(
            order_id=self.order_id,
            payment_id="ch_1",
            amount=PRICE,
            currency="EUR",
            method="card",
            approved_at_ms=1,
        )


class Shop:
    """Two holds in sections of two partitions, and the workers' calls to the gateway."""

    def __init__(self) -> None:
        gateways: Any = [OnePayment()]
        route = handler.route(topology.PAYMENTS, CODECS, gateways, 10_000)
        self.driver = TopologyDriver([route], partitions=PARTITIONS)
        performers = GatewayPerformers(gateways, lambda: self.driver.log_time_ms)
        self.performer = performers.by_destination["mock"]
        self.driver.advance(1)

    def start(self, payment: str, **changed: Any) -> None:
        section = SECTIONS[payment]
        fields = {
            "identity": CODECS.commands.identity(payment, "ann", section, EVENT, "ticket-1"),
            "outcome_id": b"section-commands:0:1:0",
            "epoch": 1,
            "amount": PRICE,
            "currency": b"EUR",
            "gateway": b"mock",
            "method": b"card",
            "parameters": b"{}",
            "deadline_ms": self.driver.log_time_ms + PAYMENT_MS,
        } | changed
        value = BY_NAME[PAYMENTS + "PaymentRequested"](*fields.values())
        place = PLACES[payment]
        self.driver.pipe(PAYMENT_COMMANDS.name, payment.encode(), value, partition=place)
        self.ask_all()

    def ask_all(self) -> None:
        """Make every call that is due, until none is, or time has to pass first."""
        while due := self.driver.intents(PAYMENT_COMMANDS.name, due=True):
            for pending in due:
                payload = asyncio.run(self._called(pending.intent))
                self.driver.answer(pending, Answer(result=Result.ANSWERED, payload=payload))

    async def _called(self, intent: Intent) -> bytes:
        return await self.performer(intent)

    def wait(self, ms: int) -> None:
        for _ in range(ms // 50_000 + 1):
            self.driver.advance(50_000)
            self.ask_all()

    def status(self, payment: str) -> PurchaseStatus:
        state = self.driver.state(PAYMENT_COMMANDS.name, PLACES[payment])
        stored = state.get(PURCHASE + payment.encode())
        assert stored is not None
        return PurchaseStatus(purchase_of(stored).status)

    def commands(self) -> list[tuple[str, bytes | None]]:
        """Return what sections were told since the last look, each with its key."""
        found = []
        for record in self.driver.read(SECTION_COMMANDS.name):
            verdict = COMMANDS_READ.decode(record.value)
            assert isinstance(verdict, Decoded), verdict
            found.append((verdict.name.rpartition(".")[2], record.key))
        return found


@pytest.mark.parametrize("as_what", ["a charge", "a claim of another shop"])
def test_i11_the_payment_of_a_sale_on_another_partition_sells_nothing(as_what: str) -> None:
    assert len(set(PLACES.values())) == 2
    shop = Shop()
    shop.start("r1")
    assert shop.commands() == [("ConfirmReservation", b"7-A-1")]
    if as_what == "a charge":
        shop.start("r2")
    else:
        # Signed by somebody who knows the id of a payment that was made for other seats.
        shop.start("r2", method=COMPLETED, parameters=b"ch_1")
    assert shop.commands() == []
    shop.wait(2 * PAYMENT_MS)
    # Sections that do not answer are told again, and the same.
    told = {("FailPayment", b"7-C-1"), ("ConfirmReservation", b"7-A-1")}
    assert set(shop.commands()) == told
    assert shop.status("r2") == PurchaseStatus.EXPIRED
    assert shop.status("r1") == PurchaseStatus.CAPTURED
