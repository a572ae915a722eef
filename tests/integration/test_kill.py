"""F21: kill -9 at every step of a transaction and of a takeover; counted on the log."""

import shutil
import signal
from collections.abc import Callable

import pytest

from integration.workers import Fleet
from streams.runtime.failpoints import NAMES

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(90)]

WORDS = 3_000
TAKEOVER = ("fenced", "claimed", "restored")


@pytest.mark.parametrize("store", ["kept", "wiped", "stale"])
@pytest.mark.parametrize("place", NAMES)
def test_f21_a_kill_at_any_step_loses_and_doubles_nothing(
    new_fleet: Callable[..., Fleet], place: str, store: str
) -> None:
    fleet = new_fleet(SEATSTREAM_TRANSACTION_RECORDS="400")
    worker = fleet.worker("one")
    fleet.produce(WORDS)
    # The first life makes a store worth keeping, losing or putting back.
    worker.start().wait_ready()
    fleet.settle()
    assert worker.terminate() == 0
    old = fleet.directory / "old-stores"
    shutil.copytree(worker.stores, old)
    fleet.produce(WORDS, seed=2)
    nth = 1 if place in TAKEOVER else 3
    worker.start(FAILPOINTS=f"{place}:kill:{nth}")
    assert worker.ended(30) == -signal.SIGKILL
    if store == "wiped":
        worker.wipe()
    elif store == "stale":
        shutil.rmtree(worker.stores)
        shutil.copytree(old, worker.stores)
    worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == 2 * WORDS
