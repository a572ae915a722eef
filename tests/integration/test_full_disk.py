"""F40 on a worker: its disk is full, and then it has room again.

As root on a disk of its own (tmpfs), which is filled; as anybody else by a limit on the size of
the process' files, which fails in the same places with another error.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest
from faults.limits import file_size_limit
from faults.small_disk import may_be_made, no_room, small_disk
from integration.workers import Fleet, Worker

from infra.stack.processes import wait_until

pytestmark = pytest.mark.kafka

DISK_BYTES = 64 << 20
KEYS = 40_000
WORDS_PER_S = 5_000


@contextmanager
def full_disk(worker: Worker, *, is_own: bool) -> Iterator[None]:
    if is_own:
        with no_room(worker.stores):
            yield
    else:
        with file_size_limit(worker.process.pid, 16 * 1024):
            yield


def test_f40_a_worker_whose_disk_is_full_loses_nothing_and_goes_on_when_it_has_room(
    new_fleet: Callable[..., Fleet],
) -> None:
    # Memory for little, so that much is written to the disk.
    fleet = new_fleet(partitions=2, SEATSTREAM_STORE_WRITE_MB="1")
    worker = fleet.worker("one")
    worker.stores.mkdir(parents=True)
    is_own = may_be_made()
    with small_disk(worker.stores, DISK_BYTES) if is_own else nullcontext():
        worker.start().wait_ready()
        fleet.produce(2_000)
        fleet.settle()
        # A store hears of the lack of room by its next write, whenever the library last tried to
        # make a file: so words go on for as long as the disk is full.
        with full_disk(worker, is_own=is_own), fleet.load(WORDS_PER_S, seed=2, keys=KEYS) as sent:
            assert wait_until(lambda: "disk is full" in worker.page("/ready")[1], 120), (
                worker.tail()
            )
            assert worker.page("/ready")[0] == 503
        fleet.settle()
        assert wait_until(worker.is_ready, 60), worker.tail()
        assert worker.exit_codes == []
        assert fleet.verify() == 2_000 + sent()
        worker.kill()
