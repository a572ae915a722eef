"""A rolling restart of static members moves no partition, and disturbs nobody."""

from collections.abc import Callable
from functools import partial

import pytest
from integration.workers import Fleet, Worker

from infra.stack.processes import wait_until

pytestmark = pytest.mark.kafka


def generations(worker: Worker) -> float:
    return worker.metric("seatstream_generations_total")


def owns_two(worker: Worker) -> bool:
    return worker.metric("seatstream_partitions_owned") == 2


def test_static_members_are_restarted_one_after_another_without_a_rebalance(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(
        SEATSTREAM_STATIC_MEMBERSHIP="1",
        SEATSTREAM_SESSION_TIMEOUT_S="60",
        SEATSTREAM_TRANSACTION_RECORDS="500",
    )
    workers = [fleet.worker(name).start() for name in ("one", "two")]
    for worker in workers:
        worker.wait_ready()
    assert wait_until(lambda: all(map(owns_two, workers)), 60)
    with fleet.load(3_000) as sent:
        for leaver, stayer in (workers, workers[::-1]):
            for leave in (leaver.terminate, leaver.kill):
                before = generations(stayer)
                leave()
                leaver.start().wait_ready()
                assert wait_until(partial(owns_two, leaver), 60), leaver.tail()
                assert generations(stayer) == before, stayer.tail()
    fleet.settle()
    assert fleet.verify() == sent()
    assert [worker.exit_codes for worker in workers] == [[0, -9], [0, -9]]


def test_a_static_members_paused_process_cannot_commit_beside_its_successor(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(
        SEATSTREAM_STATIC_MEMBERSHIP="1",
        SEATSTREAM_SESSION_TIMEOUT_S="60",
        SEATSTREAM_TRANSACTION_RECORDS="200",
        SEATSTREAM_WATCHDOG="0",
    )
    first, second = fleet.worker("first"), fleet.worker("second")
    # Two machines that were given the same name: same generation, same transactional ids.
    second.environment["SEATSTREAM_INSTANCE"] = first.environment["SEATSTREAM_INSTANCE"] = "one"
    first.start().wait_ready()
    # The load goes on through the pause, so the first wakes in the middle of its work.
    with fleet.load(4_000) as sent:
        assert wait_until(lambda: first.metric("seatstream_transaction_records_count") > 20, 60)
        first.pause()
        second.start().wait_ready()
        first.resume()
        assert first.ended() != 0
    fleet.settle()
    assert fleet.verify() == sent()
    assert second.is_alive(), second.tail()
