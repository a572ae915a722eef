"""R20, R21, F23: records that a worker cannot decide, and errors that nobody expected."""

import random
import signal
from collections.abc import Callable
from functools import partial

import pytest
from integration.workers import ENDED_ITSELF, Fleet, LoggedRecord, read_committed

from infra.stack.processes import wait_until

pytestmark = pytest.mark.kafka

# Restarts are quick when nobody has to wait for the dead member's session to end.
STATIC = {"SEATSTREAM_STATIC_MEMBERSHIP": "1", "SEATSTREAM_SESSION_TIMEOUT_S": "10"}


def dead_letters(fleet: Fleet) -> list[LoggedRecord]:
    return read_committed(fleet.brokers, fleet.topics.dead, fleet.partitions)


def test_r20_a_record_that_fails_three_times_is_set_aside_and_no_worker_ends_for_it(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2, **STATIC)
    fleet.append([b"w"] * 50 + [b"raise"] + [b"w"] * 50, 0)
    fleet.append([b"w"] * 100, 1)
    worker = fleet.worker("one").start()
    fleet.settle()
    assert fleet.verify() == 200
    assert worker.exit_codes == []
    (letter,) = dead_letters(fleet)
    assert letter.header("dead-letter-cause") == "QUARANTINED"
    assert letter.value == b"raise"
    # The way is clear for good.
    fleet.append([b"w"] * 10, 0)
    fleet.settle()
    assert fleet.verify() == 210
    assert worker.wait_ready().exit_codes == []


def test_r20_two_poisonous_records_in_one_batch_are_both_found(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1, **STATIC)
    fleet.append([b"w", b"raise", b"raise", b"w"] + [b"w"] * 20)
    fleet.worker("one").start()
    fleet.settle()
    assert fleet.verify() == 22
    assert [letter.header("dead-letter-offset") for letter in dead_letters(fleet)] == ["1", "2"]


def _has_come_to(count: Callable[[], float], until: float) -> bool:
    return count() >= until


@pytest.mark.timeout(420)
@pytest.mark.parametrize(
    ("poison", "exit_code"),
    [
        (b"segfault", -signal.SIGSEGV),
        (b"hog", ENDED_ITSELF),
        # By another signal than the first: the same once more.
        pytest.param(b"kill", -signal.SIGKILL, marks=pytest.mark.soak),
    ],
)
def test_c5_f26_a_record_that_kills_without_a_word_is_set_aside_alone(
    new_fleet: Callable[..., Fleet], poison: bytes, exit_code: int
) -> None:
    fleet = new_fleet(partitions=2, **STATIC)
    fleet.append([b"w"] * 700 + [poison] + [b"w"] * 300, 0)
    fleet.append([b"w"] * 100, 1)
    worker = fleet.worker("one").start()
    fleet.settle(120, revive=True)
    assert fleet.verify() == 1_100
    assert set(worker.exit_codes) == {exit_code}
    assert len(worker.exit_codes) <= 6
    (letter,) = dead_letters(fleet)
    assert letter.header("dead-letter-cause") == "QUARANTINED"
    assert letter.header("dead-letter-offset") == "700"
    # The way is clear for good.
    fleet.append([b"w"] * 10, 0)
    fleet.settle()
    assert fleet.verify() == 1_110


def test_c5_workers_that_are_killed_again_and_again_set_nothing_aside(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2, **STATIC)
    chance = random.Random(5)
    worker = fleet.worker("one").start().wait_ready()

    def transactions() -> float:
        return worker.metric("seatstream_transaction_records_count")

    with fleet.load(500):
        for _ in range(6):
            assert wait_until(lambda: transactions() > 0, 60)
            # At a moment that chance chooses, while there is always something to decide.
            moment = transactions() + chance.randrange(40)
            assert wait_until(partial(_has_come_to, transactions, moment), 60)
            worker.kill()
            worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() > 0
    assert dead_letters(fleet) == []


def test_r20_an_outcome_too_large_for_the_broker_is_set_aside_too(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1, **STATIC)
    fleet.append([b"w"] * 5 + [b"large 2000000"] + [b"w"] * 5)
    fleet.worker("one").start()
    fleet.settle()
    assert fleet.verify() == 10
    (letter,) = dead_letters(fleet)
    assert letter.header("dead-letter-cause") == "QUARANTINED"


def test_f30_dead_letters_below_the_limit_carry_the_original_and_stop_nobody(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1)
    fleet.append([b"w", b"dead", b"w"] * 5 + [b"w"] * 2_000)
    worker = fleet.worker("one").start()
    fleet.settle()
    assert fleet.verify() == 2_010
    letters = dead_letters(fleet)
    assert {letter.value for letter in letters} == {b"dead"}
    assert [letter.header("dead-letter-offset") for letter in letters] == [
        "1",
        "4",
        "7",
        "10",
        "13",
    ]
    assert {letter.header("dead-letter-cause") for letter in letters} == {"UNREADABLE"}
    # It counts them a moment after everybody sees them.
    assert wait_until(lambda: worker.metric("seatstream_dead_letters_total") == 5, 60)


def test_r21_dead_letters_in_a_row_set_their_partition_aside_and_no_other(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2)
    fleet.append([b"w"] * 100, 1)
    fleet.append([b"w"] * 3 + [b"dead"] * 12 + [b"w"], 0)
    worker = fleet.worker("one").start()
    assert wait_until(lambda: "too many dead letters, 10 in a row" in worker.page("/ready")[1], 60)
    fleet.append([b"w"] * 100, 1)
    assert wait_until(lambda: fleet.committed()[1] == 200, 60), worker.tail()
    # However often it is taken in again, nothing drains into the dead letters.
    assert wait_until(lambda: worker.output().count("10 in a row") >= 2, 60), worker.tail()
    assert dead_letters(fleet) == []
    assert worker.is_alive()
    assert worker.exit_codes == []


def test_r21_a_share_of_dead_letters_stops_the_partition(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet(partitions=1)
    fleet.append(([b"w"] * 40 + [b"dead"]) * 25)
    worker = fleet.worker("one").start()
    assert wait_until(lambda: "too many dead letters" in worker.output(), 60), worker.tail()
    assert worker.is_alive()


def test_f23_an_unexpected_error_ends_the_process_and_says_why(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(**STATIC)
    worker = fleet.worker("one")
    places = ("fetched", "decided", "offsets_added", "store_written")
    for life, place in enumerate(places, start=1):
        fleet.produce(200, seed=life)
        worker.start(FAILPOINTS=f"{place}:raise:1")
        assert worker.ended(why=place) == ENDED_ITSELF
        assert worker.output().count("worker ends: unexpected FailpointReached") == life
    worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == 200 * len(places)


def test_f85_an_unknown_schema_holds_up_its_own_partition_only(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2, SEATSTREAM_BUFFER_MB="1")
    registry = fleet.directory / "registry"
    registry.touch()
    fleet.append([b"w"] * 10 + [b"schema 7"] + [b"w"] * 30_000, 0)
    worker = fleet.worker("one", COUNTING_REGISTRY=str(registry)).start()
    asks = "asking the registry for schema id 7"
    assert wait_until(lambda: asks in worker.page("/ready")[1], 60), worker.tail()
    # More than the buffer takes, and not so much that it lasts until the registry is given up.
    fleet.append([b"w"] * 20_000, 1)
    assert wait_until(lambda: fleet.committed()[1] == 20_000, 60), worker.tail()
    assert fleet.committed()[0] < 11
    registry.write_text("7")
    fleet.settle()
    worker.wait_ready()
    assert fleet.verify() == 50_011
    assert dead_letters(fleet) == []


def test_records_of_newer_producers_wait_and_the_worker_leaves_in_order(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2)
    worker = fleet.worker("one").start().wait_ready()
    fleet.append([b"newer", b"w"], 0)
    fleet.append([b"w"] * 100, 1)
    assert wait_until(lambda: fleet.committed()[1] == 100, 60)
    assert wait_until(lambda: worker.page("/ready")[0] == 503, 60)
    assert worker.terminate() == 0
    assert fleet.committed()[0] == 0
    assert dead_letters(fleet) == []
