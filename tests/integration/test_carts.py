"""Carts on a real broker, by a real worker that dies at every step of its transactions.

What one partition asks of another goes there in the transaction that decided it: whatever dies, no
cart is half held, and nothing is asked that was not decided.
"""

import signal
from collections.abc import Iterator

import pytest
from integration.conftest import FAST_SESSIONS
from integration.seat_workers import Seats
from integration.workers import producing
from support.carts.carting import (
    SECTIONS,
    best,
    cart_id_of,
    extend_cart,
    open_cart,
    party,
    release_cart,
)
from support.seats.section_commands import PARTITIONS, Pair, open_section

from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from schemas.topics import CART_COMMANDS
from scripts.auditing.carts import read_carts
from scripts.auditing.checks import audit
from scripts.auditing.report import Report, as_text
from state.domain.keys import partition_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PATIENCE_S = 150.0
"""Bound of each wait: a machine may be many times slower than ours."""

A, B, C = SECTIONS
# Where each life of the worker ends: at this step of so manieth transaction. The first ones of a
# life take carts on, hold seats, tell carts, give back, tell them again.
DEATHS = (
    ("decided", 2),
    ("transaction_begun", 3),
    ("records_produced", 3),
    ("offsets_added", 1),
    ("commit_requested", 4),
    ("commit_acknowledged", 2),
    ("store_written", 4),
)


class Box:
    """Three sections on three partitions, and the worker of seats and carts."""

    def __init__(self, seats: Seats) -> None:
        self.seats = seats
        seats.environment |= {"SEATSTREAM_ROLES": "seats,carts"}
        for section, row in zip(SECTIONS, ("." * 80, "...", "." * 100), strict=True):
            seats.send(open_section(row, section=section))

    def send(self, *pairs: Pair) -> None:
        """Append records for carts, as pods do."""
        with producing(self.seats.brokers) as producer:
            for key, value in pairs:
                assert key is not None
                partition = partition_of(key, PARTITIONS)
                producer.produce(CART_COMMANDS.name, value, key, partition)

    def statuses(self) -> dict[str, str]:
        """Return how every cart stands, by its id."""
        stored = read_carts(self.seats.log(), Report()).stored
        return {cart_id: cart.fields["status"] for cart_id, cart in stored.items()}


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with ephemeral_stack(
        "tests-carts",
        parts={"kafka"},
        kafka_properties={**QUICK_RESTART, **FAST_SESSIONS},
        fast_jit=True,
    ) as stack:
        seats = Seats(stack.kafka_brokers, tmp_path_factory.mktemp("carts"))
        seats.create_topics()
        try:
            yield Box(seats)
        finally:
            seats.stop()


def test_i25_a_kill_at_any_step_leaves_no_cart_half_held(box: Box) -> None:
    # Who comes back under its name is not waited for.
    worker = box.seats.worker("killed", SEATSTREAM_STATIC_MEMBERSHIP="true")
    expected: dict[str, str] = {}
    for life, (step, turn) in enumerate(DEATHS):
        buyers = enumerate(("ann", "bob", "eve"))
        whole, split, given_back = (cart_id_of(3 * life + at, user) for at, user in buyers)
        # The second section has three seats. No hold has more than eight: the party is parted.
        box.send(
            open_cart(whole, best(A, 1), party(C, 12, A)),
            extend_cart(whole, "longer"),
            open_cart(split, best(A, 1), best(B, 4), best(C, 1), user="bob"),
            open_cart(given_back, best(A, 1), best(C, 1), user="eve"),
            release_cart(given_back, user="eve"),
        )
        expected |= {whole: "HELD", split: "REJECTED", given_back: "RELEASED"}
        worker.start("topology", FAILPOINTS=f"{step}:kill:{turn}")
        assert worker.ended(PATIENCE_S, why=f"{step}, {turn}") == -signal.SIGKILL
        if step == "records_produced":
            worker.wipe()
    worker.start("topology")
    assert wait_until(lambda: box.statuses() == expected, PATIENCE_S), (
        f"{box.statuses()}\n{worker.tail()}"
    )
    assert worker.terminate() == 0
    report = audit(box.seats.log())
    assert report.violations == [], "\n".join(as_text(report))
    assert (report.verdict, report.carts, report.carts_half_held) == ("exact", len(expected), 0)
    # Of each life one cart holds 13 seats, and nothing else is held.
    assert report.held == 13 * len(DEATHS)
