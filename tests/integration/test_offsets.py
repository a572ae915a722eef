"""F15, F16, F19, F34: committed offsets that do not fit the log, and what must not count."""

from collections.abc import Callable, Sequence

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from faults.lost_records import lose_records
from integration.workers import Fleet, create_topics

from infra.stack.processes import wait_until

pytestmark = pytest.mark.kafka


def worked_through(fleet: Fleet, words: int) -> None:
    """Let a worker count so many words and leave."""
    fleet.produce(words)
    worker = fleet.worker("first").start().wait_ready()
    fleet.settle()
    assert worker.terminate() == 0


def create_words_again(fleet: Fleet) -> None:
    admin = AdminClient({"bootstrap.servers": fleet.brokers})
    for deleted in admin.delete_topics([fleet.topics.words]).values():
        deleted.result(timeout=60)
    assert wait_until(lambda: fleet.topics.words not in admin.list_topics(timeout=5).topics, 60)
    create_topics(fleet.brokers, [NewTopic(fleet.topics.words, fleet.partitions)])


def move_group(fleet: Fleet, offset: int, partitions: Sequence[int] = ()) -> None:
    """Set the group's committed offsets, of all partitions or some, as an operator does."""
    admin = AdminClient({"bootstrap.servers": fleet.brokers})
    offsets = [
        TopicPartition(fleet.topics.words, part, offset)
        for part in partitions or range(fleet.partitions)
    ]
    moved = admin.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(fleet.app_id, offsets)]
    )
    for future in moved.values():
        future.result(timeout=60)


@pytest.mark.parametrize("words_after", [20, 4_000])
def test_f15_a_topic_created_again_sets_its_partitions_aside(
    new_fleet: Callable[..., Fleet], words_after: int
) -> None:
    fleet = new_fleet()
    worked_through(fleet, 2_000)
    create_words_again(fleet)
    fleet.produce(words_after)
    fleet.worker("second").start().wait_set_aside(fleet.partitions, "created again")


def test_f15_a_committed_offset_beyond_the_end_sets_the_partition_aside(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet()
    worked_through(fleet, 200)
    move_group(fleet, 1_000)
    fleet.worker("second").start().wait_set_aside(fleet.partitions, "lies beyond the end")


def test_f16_a_committed_offset_before_the_first_record_sets_the_partition_aside(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet()
    worked_through(fleet, 200)
    fleet.produce(400, seed=2)
    for part, end in fleet.ends().items():
        lose_records(fleet.brokers, fleet.topics.words, part, end)
    fleet.worker("second").start().wait_set_aside(fleet.partitions, "retention removed")


def test_c3_commands_that_a_running_worker_has_not_read_and_that_are_gone_are_no_gap(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=3, SEATSTREAM_SESSION_TIMEOUT_S="60")
    worker = fleet.worker("only").start().wait_ready()
    fleet.produce(300)
    fleet.settle()
    # A question that was on its way may be answered with all of these, before they are gone: then
    # nothing is lost, and it has to be done again.
    stood = 0
    for _ in range(20):
        stood = fleet.committed()[1]
        worker.pause()
        fleet.append([b"w"], 1)
        fleet.append([b"w"] * 100, 1)
        lose_records(fleet.brokers, fleet.topics.words, 1, fleet.ends()[1] - 10)
        worker.resume()
        assert wait_until(lambda: bool(worker.set_aside()) or fleet.has_settled(), 60)
        if worker.set_aside():
            break
    worker.wait_set_aside(1, "retention removed commands that were never processed")
    assert f"{fleet.topics.words}-1" in "".join(worker.set_aside())
    # The others go on, and of this one nothing behind the loss is decided.
    fleet.append([b"w"] * 100, 0)
    fleet.append([b"w"] * 100, 2)
    others = {part: end for part, end in fleet.ends().items() if part != 1}
    assert wait_until(lambda: others.items() <= fleet.committed().items(), 60), worker.tail()
    assert stood <= fleet.committed()[1] < fleet.ends()[1] - 10
    assert wait_until(lambda: worker.page("/live")[0] == 200, 60)
    assert worker.is_alive()


def test_s4_one_partition_that_was_moved_forward_is_set_aside_and_taken_in_once_it_is_back(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet()
    worked_through(fleet, 200)
    stood = fleet.committed()[1]
    fleet.produce(400, seed=2)
    move_group(fleet, fleet.ends()[1], partitions=[1])
    worker = fleet.worker("second").start()
    worker.wait_set_aside(1, "would be lost")
    others = {part: end for part, end in fleet.ends().items() if part != 1}
    assert wait_until(lambda: others.items() <= fleet.committed().items(), 60), worker.tail()
    assert wait_until(lambda: worker.page("/live")[0] == 200, 60)
    # Of a group with members the broker changes offsets for nobody else.
    assert worker.terminate() == 0
    move_group(fleet, stood, partitions=[1])
    worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == 600


def test_f34_a_group_rewound_to_0_changes_no_state(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet()
    worked_through(fleet, 2_000)
    move_group(fleet, 0)
    fleet.produce(500, seed=2)
    fleet.worker("second").start().wait_ready()
    fleet.settle()
    assert fleet.verify() == 2_500


def test_f19_what_a_foreign_producer_aborted_is_not_counted(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1, SEATSTREAM_STALL_S="2")
    worker = fleet.worker("only").start().wait_ready()
    foreign = Producer(
        {"bootstrap.servers": fleet.brokers, "transactional.id": fleet.prefix + "f"}
    )
    foreign.init_transactions(20)
    for number, commit in enumerate((False, True, False), start=1):
        fleet.produce(100, seed=3)
        foreign.begin_transaction()
        for _ in range(300):
            foreign.produce(fleet.topics.words, b"w", b"0-0", 0)
        foreign.flush(20)
        if commit:
            foreign.commit_transaction(20)
        else:
            foreign.abort_transaction(20)
        # The transaction's marker comes after the answer, and nobody commits an offset behind one.
        assert wait_until(lambda: fleet.ends() == {0: 401 * number}, 60)  # noqa: B023
    # With nothing behind the aborted records the worker is at the end, and stands still rightly.
    assert not wait_until(lambda: worker.page("/live")[0] == 503, 6)
    assert wait_until(lambda: worker.metric("seatstream_lag_records") == 0, 60)
    fleet.produce(100, seed=4)
    fleet.settle()
    assert fleet.verify() == 400 + 300


def test_c3_a_foreign_transaction_of_more_than_100000_records_that_was_aborted_is_passed(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=1)
    worker = fleet.worker("only").start().wait_ready()
    fleet.produce(100)
    fleet.settle()
    foreign = Producer(
        {
            "bootstrap.servers": fleet.brokers,
            "transactional.id": fleet.prefix + "f",
            "queue.buffering.max.messages": 200_000,
            "linger.ms": 50,
        }
    )
    foreign.init_transactions(20)
    foreign.begin_transaction()
    for _ in range(100_500):
        foreign.produce(fleet.topics.words, b"w", b"0-0", 0)
    assert foreign.flush(60) == 0
    foreign.abort_transaction(20)
    fleet.produce(100, seed=2)
    fleet.settle()
    # Another owner begins before it.
    assert worker.terminate() == 0
    move_group(fleet, 100)
    worker.start().wait_ready()
    fleet.settle()
    assert fleet.verify() == 200
    assert worker.exit_codes == [0]
