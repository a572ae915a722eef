"""F25, F28: partitions change hands under load, again and again, and nobody is hurt."""

import random
import time
from collections.abc import Callable

import pytest
from integration.workers import Fleet

from infra.stack.processes import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(150)]


@pytest.mark.parametrize(
    "storm_s",
    [30.0, pytest.param(300.0, marks=[pytest.mark.soak, pytest.mark.timeout(600)])],
)
def test_f25_f28_a_rebalance_storm_commits_batches_whole_and_ends_no_worker(
    new_fleet: Callable[..., Fleet], storm_s: float
) -> None:
    # Nobody here is silent, so sessions may be long: starts of guests take the processors.
    fleet = new_fleet(
        partitions=6, SEATSTREAM_TRANSACTION_RECORDS="500", SEATSTREAM_SESSION_TIMEOUT_S="10"
    )
    residents = [fleet.worker(name).start() for name in ("one", "two")]
    for worker in residents:
        worker.wait_ready()
    guest = fleet.worker("guest")
    chance = random.Random(25)
    with fleet.load(5_000) as sent:
        until_s = time.monotonic() + storm_s
        while time.monotonic() < until_s:
            before = sum(fleet.committed().values())
            guest.start()
            if chance.random() < 0.7:
                guest.wait_ready()
            else:
                # Leave in the middle of the takeover.
                log = guest.log
                at = log.stat().st_size if log.exists() else 0
                wait_until(lambda: b"(Re-)joining" in log.read_bytes()[at:], 10)  # noqa: B023
            guest.terminate()
            assert wait_until(lambda: sum(fleet.committed().values()) > before, 60), "no progress"  # noqa: B023
    assert set(guest.exit_codes) == {0}, guest.tail()
    assert len(guest.exit_codes) > 4
    for worker in residents:
        assert worker.is_alive(), worker.tail()
    fleet.settle()
    assert fleet.verify() == sent()
    assert [worker.terminate() for worker in residents] == [0, 0]


def test_sigterm_finishes_the_transaction_in_flight_and_leaves_within_5_s(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(SEATSTREAM_TRANSACTION_RECORDS="500")
    leaver, stayer = fleet.worker("leaver"), fleet.worker("stayer")
    leaver.start().wait_ready()
    stayer.start().wait_ready()
    fleet.produce(40_000)
    assert wait_until(lambda: leaver.metric("seatstream_transaction_records_count") > 3, 60)
    assert leaver.terminate(5) == 0
    fleet.settle()
    assert fleet.verify() == 40_000
    assert stayer.is_alive(), stayer.tail()
