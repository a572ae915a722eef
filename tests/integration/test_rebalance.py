"""F25, F28: partitions change hands under load, again and again, and nobody is hurt."""

import random
from collections.abc import Callable

import pytest
from integration.workers import Fleet

from infra.stack.processes import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "rounds",
    [3, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(1_200)])],
)
def test_f25_f28_a_rebalance_storm_commits_batches_whole_and_ends_no_worker(
    new_fleet: Callable[..., Fleet], rounds: int
) -> None:
    # Nobody here is silent, so sessions may be long: starts of guests take the processors.
    fleet = new_fleet(
        partitions=6, SEATSTREAM_TRANSACTION_RECORDS="500", SEATSTREAM_SESSION_TIMEOUT_S="10"
    )
    residents = [fleet.worker(name).start() for name in ("one", "two")]
    for worker in residents:
        worker.wait_ready()
    guest = fleet.worker("guest")
    # The first guest becomes ready, the second and third leave in the middle of the takeover.
    chance = random.Random(25)
    with fleet.load(2_000) as sent:
        for _ in range(rounds):
            before = sum(fleet.committed().values())
            guest.start()
            if chance.random() < 0.7:
                guest.wait_ready()
            else:
                # Leave in the middle of the takeover.
                log = guest.log
                at = log.stat().st_size if log.exists() else 0
                joins = wait_until(lambda: b"(Re-)joining" in log.read_bytes()[at:], 60)  # noqa: B023
                assert joins, guest.tail()
            guest.terminate()
            assert wait_until(lambda: sum(fleet.committed().values()) > before, 60), "no progress"  # noqa: B023
    assert guest.exit_codes == [0] * rounds, guest.tail()
    for worker in residents:
        assert worker.is_alive(), worker.tail()
    fleet.settle()
    assert fleet.verify() == sent()
    assert [worker.terminate() for worker in residents] == [0, 0]


def test_sigterm_finishes_the_transaction_in_flight_and_leaves_the_rest_to_others(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(SEATSTREAM_TRANSACTION_RECORDS="500")
    leaver, stayer = fleet.worker("leaver"), fleet.worker("stayer")
    leaver.start().wait_ready()
    stayer.start().wait_ready()
    # It leaves while there is always more to decide.
    with fleet.load(4_000) as sent:
        assert wait_until(lambda: leaver.metric("seatstream_transaction_records_count") > 3, 60)
        assert leaver.terminate() == 0
    fleet.settle()
    assert fleet.verify() == sent()
    assert stayer.is_alive(), stayer.tail()
