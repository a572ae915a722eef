"""A rolling restart of static members moves no partition, and disturbs nobody."""

from collections.abc import Callable

import pytest
from integration.workers import Fleet, Worker

from infra.stack.processes import wait_until

pytestmark = pytest.mark.kafka


def generations(worker: Worker) -> float:
    return worker.metric("seatstream_generations_total")


def test_static_members_are_restarted_one_after_another_without_a_rebalance(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(
        SEATSTREAM_STATIC_MEMBERSHIP="1",
        SEATSTREAM_SESSION_TIMEOUT_S="15",
        SEATSTREAM_TRANSACTION_RECORDS="500",
    )
    workers = [fleet.worker(name).start() for name in ("one", "two")]
    for worker in workers:
        worker.wait_ready()
    assert wait_until(
        lambda: all(worker.metric("seatstream_partitions_owned") == 2 for worker in workers), 60
    )
    with fleet.load(3_000) as sent:
        for leaver, stayer in (workers, workers[::-1]):
            for leave in (leaver.terminate, leaver.kill):
                before = generations(stayer)
                leave()
                leaver.start().wait_ready()
                assert leaver.metric("seatstream_partitions_owned") == 2
                assert generations(stayer) == before, stayer.tail()
    fleet.settle()
    assert fleet.verify() == sent()
    assert [worker.exit_codes for worker in workers] == [[0, -9], [0, -9]]


def test_a_static_members_paused_process_cannot_commit_beside_its_successor(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(
        SEATSTREAM_STATIC_MEMBERSHIP="1",
        SEATSTREAM_SESSION_TIMEOUT_S="20",
        SEATSTREAM_TRANSACTION_RECORDS="200",
        SEATSTREAM_WATCHDOG="0",
    )
    first, second = fleet.worker("first"), fleet.worker("second")
    # Two machines that were given the same name: same generation, same transactional ids.
    second.environment["SEATSTREAM_INSTANCE"] = first.environment["SEATSTREAM_INSTANCE"] = "one"
    first.start().wait_ready()
    fleet.produce(40_000)
    assert wait_until(lambda: first.metric("seatstream_transaction_records_count") > 20, 60)
    first.pause()
    second.start().wait_ready()
    first.resume()
    assert first.ended(15) != 0
    fleet.settle()
    assert fleet.verify() == 40_000
    assert second.is_alive(), second.tail()
