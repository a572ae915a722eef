"""What sections tell payments on a real broker: once, whatever a worker dies of."""

import signal
from collections.abc import Iterator

import pytest
from integration.conftest import FAST_SESSIONS
from integration.seat_workers import Seats
from integration.workers import read_committed
from support.seats.section_commands import (
    PARTITIONS,
    A,
    Told,
    confirm,
    hold,
    open_section,
    refund_seats,
    start_payment,
    told,
)

from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from schemas.topics import PAYMENT_COMMANDS
from state.domain.keys import partition_of, section_key
from state.domain.purchases.values import Say
from state.domain.reservation import ReleaseCause, SaleDecision

pytestmark = pytest.mark.kafka

HOME = partition_of(section_key(7, A), PARTITIONS)


@pytest.fixture(scope="module")
def seats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seats]:
    with ephemeral_stack(
        "tests-payments",
        parts={"kafka"},
        kafka_properties={**QUICK_RESTART, **FAST_SESSIONS},
        fast_jit=True,
    ) as stack:
        seats = Seats(stack.kafka_brokers, tmp_path_factory.mktemp("payments"))
        seats.create_topics()
        try:
            yield seats
        finally:
            seats.stop()


def to_payments(seats: Seats) -> list[Told]:
    """Return what payments were told, which lies where the section's commands do."""
    records = read_committed(seats.brokers, PAYMENT_COMMANDS.name, PARTITIONS)
    assert {record.partition for record in records} <= {HOME}
    assert {record.key for record in records} <= {b"r1"}
    return [told(record.value) for record in records if record.value is not None]


def test_f57_a_hold_that_is_paid_for_outlives_kills_and_its_deadline_and_payments_hear_once(
    seats: Seats,
) -> None:
    worker = seats.worker("one")
    seats.send(
        open_section("....", hold_ms=2_000, max_hold_ms=2_000, currency="EUR", amounts=(4_500,)),
        hold("r1", 2),
        hold("r2", 1),
        start_payment("r1"),
    )
    for place in ("records_produced", "commit_requested"):
        worker.start("topology", FAILPOINTS=f"{place}:kill:1")
        assert worker.ended() == -signal.SIGKILL, place
    worker.start("topology").wait_ready()
    # The hold of whoever does not pay lapses, by the ticks of the worker.
    assert wait_until(lambda: "ReservationReleased" in seats.names("r2"), 60), worker.tail()
    assert seats.outcomes("r2")[-1].cause == ReleaseCause.LAPSED
    assert seats.names("r1") == ["SeatsHeld", "PaymentStarted"]
    (requested,) = to_payments(seats)
    assert (requested.name, requested.amount) == ("PaymentRequested", 9_000)
    started = seats.outcomes("r1")[-1]
    assert (requested.outcomeId, requested.deadlineMs) == (started.outcomeId, started.deadlineMs)
    seats.send(confirm("r1"), refund_seats("r1"), refund_seats("r1"))
    assert wait_until(lambda: len(to_payments(seats)) == 4, 60), worker.tail()
    assert [(one.asked, one.decision) for one in to_payments(seats)[1:]] == [
        (Say.SELL_SEATS, SaleDecision.SOLD),
        (Say.TAKE_SEATS_BACK, SaleDecision.REFUNDED),
        (Say.TAKE_SEATS_BACK, SaleDecision.REFUNDED),
    ]
    assert worker.terminate() == 0
