"""Carts, their sections, payments and a gateway in memory; all of them may have a bad day."""

from collections.abc import Iterator, Sequence
from typing import Any

from support.carts.carting import (
    CARTS,
    HOLD_MS,
    PARTITIONS,
    SEATS,
    SECTIONS,
    Carting,
    cart_id_of,
    pay_cart,
)
from support.carts.carting import CODECS as CART_CODECS
from support.payments.deadly import Deadly, dying
from support.payments.ledger import SLOW_MS, Ledger
from support.payments.paying import CODECS, PODS
from support.seats.section_commands import CODECS as SEAT_CODECS
from support.seats.section_commands import identity, open_section

from schemas.topics import PAYMENT_COMMANDS
from state.domain.carts.values import Cart
from state.domain.keys import CART, PURCHASE, cart_payment_id
from state.domain.purchases.statuses import PurchaseStatus
from state.domain.purchases.values import Finding
from state.domain.reservation import Status
from state.records.carts import cart_of
from state.records.payments import PurchaseRecord, purchase_of
from streams.driver import Pending, TopologyDriver
from streams.take_payments.questions import Asked
from streams.wiring import Parts
from topology import routes

PAYMENTS = PAYMENT_COMMANDS.name
TOPICS = (SEATS, CARTS, PAYMENTS)
DECODERS = {SEATS: SEAT_CODECS.commands, CARTS: CART_CODECS.records, PAYMENTS: CODECS.records}
PRICE, PAYMENT_MS = 4_000, 300_000


class Named:
    """A gateway of which only the name is asked."""

    name = "mock"


def user_of(number: int) -> str:
    return "ann" if number < 2 else "bob"


def id_of(number: int) -> str:
    return cart_id_of(number, user_of(number))


class PaidCarts(Carting):
    """Sections with seats that cost PRICE, and buyers who pay for carts; see `Carting`.

    prices: of a seat, by section. elsewhere: parts that somebody else has confirmed.
    """

    def __init__(
        self, rows: Sequence[str] = ("...",) * 3, prices: Sequence[int] = (PRICE,) * 3
    ) -> None:
        named: Any = [Named()]
        flow = routes(Parts(SEAT_CODECS, CODECS, CART_CODECS, cached_seats=1_000, gateways=named))
        self.routes = {route.source: route for route in flow}
        self.deadly = Deadly()
        dead = tuple(dying(route, DECODERS, self.deadly) for route in flow)
        self.driver = TopologyDriver(dead, partitions=PARTITIONS, relays=False)
        self.ledger = Ledger()
        self.seen: list[Pending] = []
        self.elsewhere: set[str] = set()
        self.hints = 0
        self.driver.advance(1)
        for section, row, price in zip(SECTIONS, rows, prices, strict=True):
            opened = open_section(
                row, section=section, currency="EUR", amounts=(price,), hold_ms=HOLD_MS,
                payment_ms=PAYMENT_MS,
            )  # fmt: skip
            self.driver.pipe(SEATS, *opened)

    @property
    def now_ms(self) -> int:
        return self.driver.log_time_ms

    def relay_all(self) -> None:
        while any(
            self.driver.relay(topic, number) for topic in TOPICS for number in range(PARTITIONS)
        ):
            pass

    def carts(self) -> Iterator[tuple[str, Cart]]:
        for number in range(PARTITIONS):
            for key, payload in self.driver.stored(CARTS, number).items():
                if key.startswith(CART):
                    yield key.removeprefix(CART).decode(), cart_of(payload)

    def purchase(self, cart_id: str) -> PurchaseRecord | None:
        """Return the purchase of a cart, which lies on the cart's partition."""
        home = int(cart_id.rpartition("-")[2])
        key = PURCHASE + cart_payment_id(cart_id.encode())
        stored = self.driver.state(PAYMENTS, home).get(key)
        return None if stored is None else purchase_of(stored)

    def pay(self, cart_id: str, user: str = "ann") -> None:
        """Have a buyer pay what is held of a cart, as he sees it."""
        held = [part for part in self.cart(cart_id, user).parts if part.status == Status.HELD]
        self.send(pay_cart(cart_id, sum(part.standing.amount for part in held), user))

    def tell_payments(self, cart_id: str, value: bytes) -> None:
        home = int(cart_id.rpartition("-")[2])
        key = cart_payment_id(cart_id.encode())
        self.driver.pipe(PAYMENTS, key, value, partition=home)

    def order(self, cart_id: str) -> str:
        return f"{cart_id}_c.1.{cart_id.rpartition('-')[2]}"

    def hint(self, cart_id: str) -> None:
        self.hints += 1
        self.tell_payments(cart_id, PODS.hint("mock", f"evt_{self.hints}", self.order(cart_id)))

    def want_refund(self, cart_id: str, user: str, section: str) -> None:
        who = identity(f"{cart_id}_c", user=user, section=section)
        self.tell_payments(cart_id, PODS.refund_requested(who))

    def resolve(self, cart_id: str, *, looks_again: bool) -> None:
        """Do as an honest person does who finds a payment in the list, and say so."""
        order_id, purchase = self.order(cart_id), self.purchase(cart_id)
        assert purchase is not None
        finding = Finding.FOUND_UNPAID
        if looks_again or order_id in self.ledger.on_their_way:
            finding = Finding.LOOK_AGAIN
        elif order_id in self.ledger.captured:
            self.ledger.refunded[order_id] = self.ledger.captured[order_id]
            finding = Finding.REFUNDED
        who = identity(f"{cart_id}_c", user="operator", section=purchase.section.decode())
        self.tell_payments(cart_id, PODS.compensation_resolved(who, finding))

    def answer(self, pending: Pending, how: str = "answered") -> None:
        """Perform an intent that is due, as a gateway on a bad day does."""
        asked = Asked.of(pending.intent.payload)
        self.seen.append(pending)
        amount = asked.amount - (how == "less")
        answer = self.ledger.answered(asked, how, amount, self.now_ms)
        self.driver.answer(pending, answer)

    def answer_all(self, how: str = "answered") -> None:
        """Have the gateway answer what is due, and everybody hear of it."""
        self.relay_all()
        for pending in self.driver.intents(PAYMENTS, due=True):
            self.answer(pending, how)
        self.relay_all()

    def pass_time(self, ms: int) -> None:
        self.driver.advance(ms, step_ms=50_000)
        self.relay_all()

    def settle(self) -> None:
        """Let everything come to rest: gateway and workers are well again, people look."""
        self.deadly.names = set()
        for number in range(80):
            self.relay_all()
            self.pass_time(SLOW_MS)
            self.ledger.arrive(self.now_ms)
            pending = self.driver.intents(PAYMENTS, due=True)
            for one in pending:
                self.answer(one)
            self.relay_all()
            purchases = [(id_, self.purchase(id_)) for id_, _ in self.carts()]
            lost = [
                id_
                for id_, one in purchases
                if one is not None and one.status == PurchaseStatus.COMPENSATION_REQUIRED
            ]
            for id_ in lost:
                self.resolve(id_, looks_again=bool(number % 2))
            is_telling = any(one is not None and one.saying for _, one in purchases)
            is_waiting = any(cart.is_waiting for _, cart in self.carts())
            if not (pending or lost or is_telling or is_waiting or self.driver.intents(PAYMENTS)):
                break
        else:
            raise AssertionError("it never comes to rest")
        # Whatever is still held is believed to be: also a lapse that was lost is found out.
        self.pass_time(5 * HOLD_MS)

    def check(self) -> None:
        """Nothing contradicts itself, all parts are sold or none, and money is where they are."""
        for source, route in self.routes.items():
            for number in range(PARTITIONS):
                stored = self.driver.stored(source, number)
                assert route.contradiction is not None
                assert route.contradiction(stored.items(), number, PARTITIONS) == ""
        reasons = {letter.reason for letter in self.driver.dead_letters}
        assert reasons <= {"QUARANTINED"}
        for cart_id, cart in self.carts():
            self.check_cart(cart_id, cart)

    def check_cart(self, cart_id: str, cart: Cart) -> None:
        truth = [
            self.truth_of(cart_id, number, part.section.decode())
            for number, part in enumerate(cart.parts)
        ]
        assert [part.status for part in cart.parts] == truth
        assert Status.PAYING not in truth
        assert (cart.payment.method, cart.payment.parameters) == (b"", b"")
        purchase, order_id = self.purchase(cart_id), self.order(cart_id)
        assert self.ledger.charges[order_id] <= 1
        kept = self.ledger.kept(order_id)
        paid = [number for number, part in enumerate(cart.parts) if part.is_paid]
        is_done = purchase is not None and purchase.status == PurchaseStatus.DONE
        if is_done:
            assert kept == sum(cart.parts[number].standing.amount for number in paid)
            assert {truth[number] for number in paid} == {Status.SOLD}
            return
        assert kept == 0
        assert purchase is None or not purchase.saying
        is_free = not cart.payment.amount
        for number in paid:
            if truth[number] == Status.SOLD and not is_free:
                # Sold to nobody's money that we know of, by somebody else.
                assert f"{cart_id}_{number}" in self.elsewhere
        if is_free and paid:
            assert len({truth[number] == Status.SOLD for number in paid}) == 1
