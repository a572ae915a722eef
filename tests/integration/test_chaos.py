"""Two workers under load while they are killed, paused, stopped and robbed of their stores."""

import random
import time
from collections.abc import Callable

import pytest
from integration.workers import SESSION_TIMEOUT_S, Fleet, Worker

from infra.stack.processes import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

# It kills and stops workers, with and without their stores, and pauses one longer than a session.
SEED, ROUNDS = 20_260_111, 6


@pytest.mark.parametrize(
    ("seed", "rounds"),
    [
        (SEED, ROUNDS),
        pytest.param(20_260_101, 60, marks=[pytest.mark.soak, pytest.mark.timeout(1_200)]),
    ],
)
def test_every_word_is_counted_once_whatever_happens_to_the_workers(
    new_fleet: Callable[..., Fleet], seed: int, rounds: int
) -> None:
    fleet = new_fleet(partitions=4, SEATSTREAM_TRANSACTION_RECORDS="1000", SEATSTREAM_WATCHDOG="1")
    chance = random.Random(seed)
    workers = [fleet.worker(name).start() for name in ("one", "two")]
    for worker in workers:
        worker.wait_ready()
    done = []
    with fleet.load(400) as sent:
        for _ in range(rounds):
            worker = chance.choice(workers)
            done.append(_disturb(worker, chance))
            breather_s = time.monotonic() + chance.uniform(0.5, 4.0)
            wait_until(lambda at=breather_s: time.monotonic() > at, 5)  # type: ignore[misc]
            fleet.revive()
    fleet.settle(120, revive=True)
    assert fleet.verify() == sent(), done


def _disturb(worker: Worker, chance: random.Random) -> str:
    what = chance.choice(["kill", "kill", "pause", "pause", "terminate"])
    if what == "pause":
        worker.pause()
        end_s = time.monotonic() + chance.uniform(0.2, 2 * SESSION_TIMEOUT_S)
        wait_until(lambda: time.monotonic() > end_s, 3 * SESSION_TIMEOUT_S)
        worker.resume()
        return f"{worker.name} paused"
    if what == "terminate":
        if worker.is_alive():
            worker.terminate()
        else:
            worker.ended(0)
    else:
        worker.kill()
    if chance.random() < 1 / 3:
        worker.wipe()
        what += " and wiped"
    worker.start()
    return f"{worker.name} {what}"
