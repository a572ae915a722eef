"""F24: a worker that was paused past its session wakes up with records it no longer owns."""

from collections.abc import Callable

import pytest
from faults.blocked_loop import blocked_loop
from integration.workers import ENDED_ITSELF, SESSION_TIMEOUT_S, Fleet

from infra.stack.processes import wait_until

pytestmark = pytest.mark.kafka

PER_SECOND = 4_000


@pytest.mark.parametrize("watchdog", ["0", "1"])
def test_f24_nothing_of_a_woken_zombie_becomes_visible_and_it_ends_itself(
    new_fleet: Callable[..., Fleet], watchdog: str
) -> None:
    fleet = new_fleet(SEATSTREAM_TRANSACTION_RECORDS="100", SEATSTREAM_WATCHDOG=watchdog)
    zombie, heir, third = (fleet.worker(name) for name in ("zombie", "heir", "third"))
    # It is paused with a transaction begun: a zombie without one may hear of the rebalance first,
    # and then it joins again like anybody else.
    zombie.start(**blocked_loop(6, nth=20)).wait_ready()
    heir.start().wait_ready()
    assert wait_until(lambda: zombie.metric("seatstream_partitions_owned") == 2, 60)
    with fleet.load(PER_SECOND) as sent:
        assert wait_until(lambda: "stands still" in zombie.output(), 60), zombie.tail()
        zombie.pause()
        assert wait_until(
            lambda: heir.metric("seatstream_partitions_owned") == 4, 2 * SESSION_TIMEOUT_S + 60
        )
    fleet.settle()
    zombie.resume()
    assert zombie.ended() == ENDED_ITSELF
    fleet.produce(2_000, seed=2)
    heir.kill()
    third.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == sent() + 2_000
