"""Buyers who pay for seats of one event at a pace, drawn by a seed; a program, ended by SIGTERM.

    python -m integration.paying_buyers EVENT_ID RATE SECONDS

They do what buyers do: start twice, cancel while they pay, come too late, want their money back.
Some want seats in several sections as one, and pay for them as one.
Rumours (webhooks of nobody's) come beside. KAFKA_BROKERS and SCHEMA_REGISTRY_URL say where.
"""

import heapq
import json
import sys
import time
from collections.abc import Callable
from itertools import count
from random import Random

from confluent_kafka import Producer

from schemas.topics import CART_COMMANDS, PAYMENT_COMMANDS, SECTION_COMMANDS
from scripts.brokers.addresses import servers_named
from scripts.traffic.opening import open_event
from scripts.traffic.sending import CommandEncoders, schema_ids
from state.domain.carts.statuses import OnFailure
from state.domain.carts.values import Wanted
from state.domain.keys import (
    Order,
    cart_key,
    cart_payment_id,
    issued_id,
    partition_of,
    section_key,
    stem_of,
)
from state.domain.layout import Rules
from state.plans.reading import parse_plan
from state.records.carts import CartEncoders
from state.records.payments import PaymentEncoders

SECTIONS = 12
PRICES = (4_500, 1_250, 0)
"""Of seats by section; what is free of charge is sold without a gateway."""

HOLD_MS = 3_000
CARTS = 0.2
"""Share of the buyers who want seats in several sections as one."""
GATEWAY, METHOD = "mock", "card"


def plan() -> bytes:
    sections = [
        {"section": f"S{number}", "rows": 10, "seats": 30, "category": f"c{number % len(PRICES)}"}
        for number in range(SECTIONS)
    ]
    prices = {f"c{number}": price for number, price in enumerate(PRICES)}
    document = {"event": "Paid", "sections": sections, "currency": "EUR", "prices": prices}
    return json.dumps(document).encode()


class Buyers:
    """What is to be sent, by the time at which it is due."""

    def __init__(self, event_id: int) -> None:
        self._where = servers_named()
        ids = schema_ids(self._where.registry_url, self._where.brokers)
        self._encoders, self._payments = CommandEncoders(ids), PaymentEncoders(ids)
        self._carts = CartEncoders(ids)
        self._event_id = event_id
        self._draw = Random(event_id)
        self._numbers = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._producer = Producer(
            {
                "bootstrap.servers": self._where.brokers,
                "enable.idempotence": True,
                "linger.ms": 5,
                "delivery.timeout.ms": 20_000,
                "log_level": 2,
            }
        )
        # A payment may be begun too late; it ends long before the run does.
        rules = Rules(hold_ms=HOLD_MS, payment_ms=self._draw.choice([20_000, 900_000]))
        opening = open_event(self._where, parse_plan(plan()), event_id, rules, ids=ids)
        assert not opening.refused, opening
        found = self._producer.list_topics(SECTION_COMMANDS.name, 15).topics
        self._partitions = len(found[SECTION_COMMANDS.name].partitions)

    def buy(self, rate: float, seconds: float) -> None:
        """Begin so many purchases a second for so long, and send what follows from each."""
        began_s, begun = time.monotonic(), 0
        while (passed_s := time.monotonic() - began_s) < seconds:
            while begun < passed_s * rate:
                begin = self._begin_cart if self._draw.random() < CARTS else self._begin
                begin(f"{self._event_id}-{begun}")
                begun += 1
            self._send_due()
            self._producer.poll(0.01)
        self._producer.flush(20)

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), what))

    def _send_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            heapq.heappop(self._due)[2]()

    def _begin_cart(self, buyer: str) -> None:
        """Have one buyer want a cart, and pay for what he sees that it costs."""
        draw, user, event_id = self._draw, f"u-{buyer}", self._event_id
        key = cart_key(event_id, user.encode())
        partition = partition_of(key, self._partitions)
        cart_id = issued_id(stem_of(user, "cart"), partition)
        wanted = [
            (number, draw.randint(1, 3))
            for number in draw.sample(range(SECTIONS), draw.randint(2, 3))
        ]
        amount = sum(count * PRICES[number % len(PRICES)] for number, count in wanted)
        items: tuple[Wanted, ...] = tuple(
            (b"S%d" % number, count, (), False, ()) for number, count in wanted
        )
        on_failure = OnFailure.KEEP if draw.random() < 0.2 else OnFailure.RELEASE

        def tell(value: bytes) -> Callable[[], None]:
            return lambda: self._produce(CART_COMMANDS.name, key, value, partition)

        def tell_payments(value: bytes) -> Callable[[], None]:
            payment = cart_payment_id(cart_id.encode())
            return lambda: self._produce(PAYMENT_COMMANDS.name, payment, value, partition)

        opened = self._carts.open_cart(cart_id, user, "c", event_id, on_failure, items)
        self._later(0, tell(opened))
        fate = draw.random()
        if fate < 0.1:
            released = self._carts.release_cart(cart_id, user, "r", event_id)
            self._later(draw.uniform(0, 2), tell(released))
            return
        if fate < 0.2:
            # Left to lapse.
            return
        way = GATEWAY, METHOD, b""
        pay = tell(self._carts.pay_cart(cart_id, user, "p", event_id, (amount, "EUR"), way))
        pays_s = draw.uniform(0.2, 1) if draw.random() < 0.9 else draw.uniform(2, 6)
        for again_s in (0, draw.uniform(0.2, 2), draw.uniform(0, 8)):
            # Until it is held there is nothing to pay for.
            self._later(pays_s + again_s, pay)
        order = Order(cart_payment_id(cart_id.encode()).decode(), 1, partition)
        if draw.random() < 0.1:
            hint = self._payments.hint(GATEWAY, f"e-{buyer}", order.id)
            self._later(pays_s + draw.uniform(0, 6), tell_payments(hint))
        if draw.random() < 0.15:
            who = order.reservation_id, user, items[0][0].decode(), event_id
            wish = tell_payments(self._payments.refund_requested(self._encoders.identity(*who)))
            for _ in range(draw.randint(1, 2)):
                self._later(pays_s + draw.uniform(1, 10), wish)

    def _begin(self, buyer: str) -> None:
        draw, encoders = self._draw, self._encoders
        section = f"S{draw.randrange(SECTIONS)}"
        key = section_key(self._event_id, section)
        partition = partition_of(key, self._partitions)
        identity = encoders.identity(buyer, f"u-{buyer}", section, self._event_id)
        order_id = Order(buyer, 1, partition).id

        def ask(value: bytes) -> Callable[[], None]:
            return lambda: self._produce(SECTION_COMMANDS.name, key, value, partition)

        def tell(value: bytes) -> Callable[[], None]:
            return lambda: self._produce(PAYMENT_COMMANDS.name, buyer.encode(), value, partition)

        self._later(0, ask(encoders.hold_best(identity, draw.randint(1, 3))))
        fate = draw.random()
        if fate < 0.1:
            self._later(draw.uniform(0, 2), ask(encoders.release(identity)))
            return
        if fate < 0.2:
            # Left to lapse.
            return
        start = ask(encoders.start_payment(identity, 1, GATEWAY, METHOD, b""))
        starts_s = draw.uniform(0, 1) if draw.random() < 0.9 else draw.uniform(2, 6)
        self._later(starts_s, start)
        if draw.random() < 0.1:
            self._later(starts_s + draw.uniform(0, 8), start)
        if draw.random() < 0.05:
            self._later(starts_s + draw.uniform(0, 1), ask(encoders.release(identity)))
        if draw.random() < 0.1:
            hint = self._payments.hint(GATEWAY, f"e-{buyer}", order_id)
            self._later(starts_s + draw.uniform(0, 6), tell(hint))
        if draw.random() < 0.15:
            wish = tell(self._payments.refund_requested(identity))
            for _ in range(draw.randint(1, 2)):
                self._later(starts_s + draw.uniform(1, 10), wish)

    def _produce(self, topic: str, key: bytes, value: bytes, partition: int) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition)
            except BufferError:
                self._producer.poll(0.05)
            else:
                return


if __name__ == "__main__":
    event, per_second, for_s = sys.argv[1:]
    Buyers(int(event)).buy(float(per_second), float(for_s))
