"""F21: kill -9 at every step of a transaction and of a takeover; counted on the log."""

import shutil
import signal
from collections.abc import Callable

import pytest
from integration.workers import Fleet, Worker

from streams.runtime.process.failpoints import OF_RECORDS

pytestmark = pytest.mark.kafka

WORDS = 1_500
ONCE_A_LIFE = ("fenced", "claimed", "restored", "fetched")


def leave_the_store(worker: Worker) -> None:
    """Start again on the same machine."""


def lose_the_store(worker: Worker) -> None:
    """Start again on another machine."""
    worker.wipe()


def put_an_old_store_back(worker: Worker) -> None:
    """Start again from a backup that was taken when the first life ended."""
    shutil.rmtree(worker.stores)
    shutil.copytree(worker.data_dir.parent / "backup", worker.stores)


@pytest.mark.parametrize(
    ("disturb", "membership"),
    [
        (leave_the_store, "static"),
        # The group waits for the dead until their session is over.
        (lose_the_store, "dynamic"),
        (put_an_old_store_back, "static"),
    ],
)
def test_f21_a_kill_at_any_step_loses_and_doubles_nothing(
    new_fleet: Callable[..., Fleet], disturb: Callable[[Worker], None], membership: str
) -> None:
    fleet = new_fleet(
        SEATSTREAM_TRANSACTION_RECORDS="100",
        SEATSTREAM_SESSION_TIMEOUT_S="10" if membership == "static" else "1.5",
        SEATSTREAM_STATIC_MEMBERSHIP="1" if membership == "static" else "0",
        SEATSTREAM_WATCHDOG="0",
    )
    worker = fleet.worker("one")
    fleet.produce(WORDS)
    worker.start().wait_ready()
    fleet.settle()
    assert worker.terminate() == 0
    shutil.copytree(worker.stores, fleet.directory / "backup")
    # Each life is killed at another place and takes over from the one killed before it.
    for life, place in enumerate(OF_RECORDS):
        fleet.produce(WORDS, seed=2 + life)
        worker.start(FAILPOINTS=f"{place}:kill:{1 if place in ONCE_A_LIFE else 2}")
        assert worker.ended(why=place) == -signal.SIGKILL
        disturb(worker)
    worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == WORDS * (1 + len(OF_RECORDS))
