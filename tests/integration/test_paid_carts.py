"""Carts that are paid for as one, on a real broker, at a gateway that is a process with a ledger.

A worker of seats, carts and payments dies at every step of a charge, of a sale and of a refund:
all parts of a cart are sold or none, and its buyer is charged once, or not at all.
"""

import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from integration.conftest import FAST_SESSIONS
from integration.seat_workers import Seats
from integration.workers import producing
from support.carts.carting import SECTIONS, best, cart_id_of, open_cart, pay_cart
from support.gateways.running import API_KEY, SECRET, RunningGateway, running_gateway
from support.payments.paying import PODS
from support.seats.section_commands import PARTITIONS, Pair, identity, open_section

from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from schemas.topics import CART_COMMANDS, PAYMENT_COMMANDS
from scripts.auditing.carts import read_carts
from scripts.auditing.checks import audit
from scripts.auditing.report import Report, as_text
from state.domain.carts.limits import Limits
from state.domain.keys import Order, cart_payment_id, partition_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PATIENCE_S = 150.0
"""Bound of each wait: a machine may be many times slower than ours."""

A, B, C = SECTIONS
PRICE = 4_000
WHOLE = 3 * PRICE
# Two carts of three seats, and not a third one.
LIMITS = Limits(max_seats=8)
# Where the lives end in which carts are paid for: at this step for the so manieth time.
DEATHS = (("records_produced", 2), ("call_answered", 1), ("answer_appended", 1), ("decided", 3))


class Box:
    """Three sections on three partitions, the worker of everything, and its gateway."""

    def __init__(self, seats: Seats, gateway: RunningGateway) -> None:
        self.seats = seats
        self.gateway = gateway
        seats.environment |= {
            "SEATSTREAM_ROLES": "seats,carts,payments",
            # Who comes back under its name is not waited for.
            "SEATSTREAM_STATIC_MEMBERSHIP": "true",
            "MOCK_GATEWAY_URL": gateway.process.url,
            "MOCK_GATEWAY_API_KEY": API_KEY,
            "MOCK_GATEWAY_WEBHOOK_SECRET": SECRET,
        }
        for section in SECTIONS:
            seats.send(open_section("." * 60, section=section, currency="EUR", amounts=(PRICE,)))

    def send(self, *pairs: Pair) -> None:
        """Append records for carts, as pods do."""
        with producing(self.seats.brokers) as producer:
            for key, value in pairs:
                assert key is not None
                producer.produce(CART_COMMANDS.name, value, key, partition_of(key, PARTITIONS))

    def give_back(self, cart_id: str, user: str) -> None:
        """Have a buyer want the money of a cart back."""
        order = order_of(cart_id)
        wish = PODS.refund_requested(identity(order.reservation_id, user=user, section=A))
        key = order.reservation_id.encode()
        with producing(self.seats.brokers) as producer:
            producer.produce(PAYMENT_COMMANDS.name, wish, key, order.partition)

    def audit(self) -> Report:
        return audit(self.seats.log(self.gateway.process.ledger))

    def reach(self, expected: dict[str, str], worker: str) -> None:
        """Wait until carts stand so, and nobody has anything to do."""
        stood: list[object] = []

        def is_reached() -> bool:
            log = self.seats.log(self.gateway.process.ledger)
            stored = read_carts(log, Report()).stored
            statuses = {cart_id: stored[cart_id].fields["status"] for cart_id in stored}
            stood[:] = [statuses]
            if statuses != expected:
                return False
            stood.extend(as_text(report := audit(log)))
            return report.is_exact and not report.open_intents

        assert wait_until(is_reached, PATIENCE_S), f"{stood}\n{worker}"


def order_of(cart_id: str) -> Order:
    return Order(cart_payment_id(cart_id.encode()).decode(), 1, int(cart_id.rpartition("-")[2]))


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with (
        running_gateway() as gateway,
        ephemeral_stack(
            "tests-paid-carts",
            parts={"kafka"},
            kafka_properties={**QUICK_RESTART, **FAST_SESSIONS},
            fast_jit=True,
        ) as stack,
    ):
        seats = Seats(stack.kafka_brokers, tmp_path_factory.mktemp("paid-carts"))
        seats.create_topics()
        try:
            yield Box(seats, gateway)
        finally:
            seats.stop()


def test_i10_i11_a_kill_at_any_step_sells_a_cart_whole_and_charges_it_once(box: Box) -> None:
    buyers = dict.fromkeys(range(len(DEATHS)), "ann") | {1: "bob", 2: "eve"}
    ids = {number: cart_id_of(number, user) for number, user in buyers.items()}
    beyond = cart_id_of(9)
    wanted = [(ids[number], user) for number, user in buyers.items()] + [(beyond, "ann")]
    box.send(*(open_cart(each, best(A, 1), best(B, 1), best(C, 1), user=user, limits=LIMITS)
               for each, user in wanted))  # fmt: skip
    declined = ids[1]
    box.gateway.order("decline", order_of(declined).id)
    worker = box.seats.worker("killed")
    worker.start("topology")
    expected = dict.fromkeys(ids.values(), "HELD") | {beyond: "REJECTED"}
    box.reach(expected, worker.tail())
    worker.kill()
    for number, (step, turn) in enumerate(DEATHS):
        box.send(pay_cart(ids[number], WHOLE, buyers[number]))
        worker.start("topology", FAILPOINTS=f"{step}:kill:{turn}")
        assert worker.ended(PATIENCE_S, why=f"{step}, {turn}") == -signal.SIGKILL
        if step == "call_answered":
            worker.wipe()
    worker.start("topology")
    expected |= dict.fromkeys(ids.values(), "SOLD") | {declined: "RELEASED"}
    box.reach(expected, worker.tail())
    worker.kill()
    box.give_back(ids[0], "ann")
    worker.start("topology", FAILPOINTS="call_answered:kill:1")
    assert worker.ended(PATIENCE_S, why="refund") == -signal.SIGKILL
    worker.start("topology")
    expected[ids[0]] = "REFUNDED"
    box.reach(expected, worker.tail())
    assert worker.terminate() == 0
    report, ledger = box.audit(), box.gateway.ledger()
    assert report.is_exact, "\n".join(as_text(report))
    paid = [order_of(cart_id).id for cart_id, status in expected.items() if status == "SOLD"]
    given_back = order_of(ids[0]).id
    captured = [(one.order_id, one.amount) for one in ledger.captures]
    assert sorted(captured) == sorted((each, WHOLE) for each in (*paid, given_back))
    assert [(one.order_id, one.amount) for one in ledger.refunds] == [(given_back, WHOLE)]
    assert report.price_of_sold == Counter({"EUR": len(paid) * WHOLE})
    assert (report.sold, report.held) == (3 * len(paid), 0)
    assert (report.carts_half_held, report.held_over_limit, report.charged_twice) == (0, 0, 0)
