"""F11, F13, F14, F44: brokers die, freeze, run full and fall out of sync under load.

What was acknowledged is decided once and in order, whatever the leader does.
"""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from faults.limits import file_size_limit
from integration.conftest import FAST_SESSIONS
from integration.workers import Fleet, create_topics, leader_of

from infra.stack import QUICK_RESTART, Stack, ephemeral_stack
from infra.stack.processes import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

QUICK_LEAVE = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}


@pytest.fixture(scope="module")
def three() -> Iterator[Stack]:
    with ephemeral_stack(
        "tests-brokers",
        brokers=3,
        parts={"kafka"},
        kafka_properties={**QUICK_RESTART, **QUICK_LEAVE, **FAST_SESSIONS},
        fast_jit=True,
    ) as stack:
        yield stack


@pytest.fixture
def fleet(three: Stack, topic_prefix: str, tmp_path: Path) -> Iterator[Fleet]:
    # A little more than the leader's death takes, so that workers have no reason to end.
    patient = {"SEATSTREAM_SESSION_TIMEOUT_S": "6"}
    fleet = Fleet(three.kafka_brokers, topic_prefix, tmp_path, 3, patient)
    topics = fleet.topics
    create_topics(
        fleet.brokers,
        [
            NewTopic(topics.words, 3),
            NewTopic(topics.counts, 3),
            NewTopic(topics.changelog, 3, config={"cleanup.policy": "compact"}),
            NewTopic(topics.dead, 3),
        ],
    )
    yield fleet
    fleet.stop()


def wait_in_sync(fleet: Fleet, *, but_led_by_others_than: int) -> None:
    """Wait until a broker that came back knows that it leads nothing, and follows everything.

    Until then it answers readers as the leader that it was, with the log's end of that time.
    """
    topics = fleet.topics
    names = [topics.words, topics.counts, topics.changelog, topics.dead]

    def is_in_sync() -> bool:
        admin = AdminClient({"bootstrap.servers": fleet.brokers, "log_level": 0})
        described = admin.describe_topics(TopicCollection(names), request_timeout=5)
        try:
            partitions = [one for topic in described.values() for one in topic.result().partitions]
        except KafkaException:
            return False
        return all(
            len(one.isr) == 3
            and one.leader is not None
            and one.leader.id != but_led_by_others_than
            for one in partitions
        )

    assert wait_until(is_in_sync, 90), "a broker that came back does not follow the others"


def goes_on(fleet: Fleet) -> bool:
    """Wait until more has been decided than now; a supervisor brings ended workers back."""
    before = sum(fleet.committed().values())

    def is_further() -> bool:
        fleet.revive()
        return sum(fleet.committed().values()) > before + 100

    return wait_until(is_further, 180)


# The changelog's leader dies in F14 too, of its disk.
@pytest.mark.parametrize("lost", ["words", pytest.param("changelog", marks=pytest.mark.soak)])
def test_f11_a_leader_that_dies_under_load_costs_no_word_and_doubles_none(
    three: Stack, fleet: Fleet, lost: str
) -> None:
    for name in ("a", "b"):
        fleet.worker(name).start()
    for worker in fleet.workers:
        worker.wait_ready()
    with fleet.load(400) as sent:
        leader = leader_of(fleet.brokers, getattr(fleet.topics, lost))
        three.kill_broker(leader)
        assert goes_on(fleet)
        three.start_broker(leader)
    fleet.settle(120, revive=True)
    # A producer that heard nothing repeats itself: more may lie in the log than was sent.
    assert fleet.verify() >= sent()


def test_f13_a_frozen_leader_times_out_and_nothing_is_decided_twice(
    three: Stack, fleet: Fleet
) -> None:
    worker = fleet.worker("a").start()
    worker.wait_ready()
    with fleet.load(400) as sent:
        leader = leader_of(fleet.brokers, fleet.topics.changelog)
        three.pause_broker(leader)
        try:
            # The two others make a new leader of one of themselves, and the worker goes on.
            leader_of(fleet.brokers, fleet.topics.changelog, other_than=leader)
            assert goes_on(fleet)
        finally:
            three.resume_broker(leader)
        wait_in_sync(fleet, but_led_by_others_than=leader)
    fleet.settle(120, revive=True)
    # A producer that heard nothing repeats itself: more may lie in the log than was sent.
    assert fleet.verify() >= sent()


def test_f44_a_changelog_that_takes_nothing_ends_the_worker_and_the_transaction(
    three: Stack, fleet: Fleet
) -> None:
    worker = fleet.worker("a").start()
    worker.wait_ready()
    fleet.produce(100)
    fleet.settle()
    demand_all_replicas(fleet, 3)
    lost = next(node for node in (1, 2, 3) if node != leader_of(fleet.brokers, fleet.topics.words))
    three.stop_broker(lost)
    fleet.produce(50, seed=2)
    worker.ended(120, "its changelog takes no record")
    committed = fleet.committed()
    assert sum(committed.values()) == 100
    three.start_broker(lost)
    worker.start().wait_ready()
    fleet.settle(90)
    assert fleet.verify() == 150


def demand_all_replicas(fleet: Fleet, replicas: int) -> None:
    """Let the changelog take nothing unless so many brokers are in sync."""
    entry = ConfigEntry(
        "min.insync.replicas", str(replicas), incremental_operation=AlterConfigOpType.SET
    )
    topic = ConfigResource(ResourceType.TOPIC, fleet.topics.changelog, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": fleet.brokers})
    (answer,) = admin.incremental_alter_configs([topic]).values()
    answer.result(timeout=60)


def test_f14_a_broker_whose_disk_is_full_loses_nothing_that_was_acknowledged(
    three: Stack, fleet: Fleet
) -> None:
    """The leader's disk takes no byte more: it ends, the others go on, and then it comes back."""
    worker = fleet.worker("a").start()
    worker.wait_ready()
    with fleet.load(400) as sent:
        leader = leader_of(fleet.brokers, fleet.topics.changelog)
        pid = three.broker_pids[leader]
        with file_size_limit(pid, 1):
            assert wait_until(lambda: not is_running(pid), 60), "it went on without a disk"
        leader_of(fleet.brokers, fleet.topics.changelog, other_than=leader)
        assert goes_on(fleet)
        three.kill_broker(leader)
        three.start_broker(leader)
    fleet.settle(120, revive=True)
    assert fleet.verify() >= sent()


def is_running(pid: int) -> bool:
    """Say whether a process runs; one that ended and is not waited for yet does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
