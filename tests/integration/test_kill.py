"""F21: kill -9 at every step of a transaction and of a takeover; counted on the log."""

import shutil
import signal
from collections.abc import Callable, Sequence

import pytest
from integration.workers import Fleet, Worker

from streams.runtime.process.failpoints import OF_RECORDS

pytestmark = pytest.mark.kafka

WORDS = 500
ONCE_A_LIFE = ("fenced", "claimed", "restored", "fetched")


def leave_the_store(worker: Worker) -> None:
    """Start again on the same machine."""


def lose_the_store(worker: Worker) -> None:
    """Start again on another machine."""
    worker.wipe()


def put_an_old_store_back(worker: Worker) -> None:
    """Start again from a backup that was taken when the first life ended."""
    # A life that followed a loss may have died before it had any.
    shutil.rmtree(worker.stores, ignore_errors=True)
    shutil.copytree(worker.data_dir.parent / "backup", worker.stores)


# What becomes of the store from one life to the next. Behind each step one of these; where there
# is time, each of them behind each step.
IN_TURN = (leave_the_store, lose_the_store, put_an_old_store_back)


@pytest.mark.parametrize(
    ("disturbs", "membership"),
    [
        pytest.param(IN_TURN, "static", id="in_turn"),
        pytest.param((leave_the_store,), "static", id="leave", marks=pytest.mark.soak),
        # The group waits for the dead until their session is over.
        pytest.param((lose_the_store,), "dynamic", id="lose", marks=pytest.mark.soak),
        pytest.param((put_an_old_store_back,), "static", id="old", marks=pytest.mark.soak),
    ],
)
def test_f21_a_kill_at_any_step_loses_and_doubles_nothing(
    new_fleet: Callable[..., Fleet],
    disturbs: Sequence[Callable[[Worker], None]],
    membership: str,
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
        disturbs[life % len(disturbs)](worker)
    worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == WORDS * (1 + len(OF_RECORDS))
