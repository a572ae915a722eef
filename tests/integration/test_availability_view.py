"""The availability view against a real broker: transactions, compaction, restarts and pauses."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from integration.workers import ROOT, create_topics, producing
from support.records.status_records import EVENT, PARTITIONS, counts, value_of

from infra.stack import QUICK_RESTART, Stack, ephemeral_stack
from infra.stack.processes import child_environment, wait_until
from state.domain.keys import partition_of, section_key
from state.domain.reasons import Reason
from state.domain.status import SectionStatus
from state.views.availability.view import (
    AvailabilityView,
    Demand,
    NotReady,
    TooStale,
    TopicMissing,
)
from state.views.following.ages import boot_clock_ns

pytestmark = pytest.mark.kafka

COMPACT = {"cleanup.policy": "compact"}


@pytest.fixture
def topic(new_topic: Callable[..., str]) -> str:
    """Give a status topic of four partitions."""
    return new_topic("section-status", PARTITIONS, COMPACT)


def put(producer: Producer, topic: str, status: SectionStatus | None, section: str = "A") -> None:
    """Append a status, or a tombstone, without waiting for the broker."""
    spoil(producer, topic, None if status is None else value_of(status, section), section)


def spoil(producer: Producer, topic: str, value: bytes | None, section: str = "A") -> None:
    key = section_key(EVENT, section)
    producer.produce(topic, value, key, partition_of(key, PARTITIONS))


def publish(brokers: str, topic: str, *told: tuple[str, SectionStatus | None]) -> None:
    with producing(brokers) as producer:
        for section, status in told:
            put(producer, topic, status, section)


@contextmanager
def ready_view(brokers: str, topic: str, **options: int) -> Iterator[AvailabilityView]:
    with AvailabilityView(brokers, topic=topic, **options) as view:  # type: ignore[arg-type]
        view.wait_ready(60)
        yield view


def free_of(view: AvailabilityView, section: str = "A") -> int | None:
    answer = view.get(EVENT, section)
    return None if answer is None else answer.free


def transactional(brokers: str, name: str) -> Producer:
    producer = Producer({"bootstrap.servers": brokers, "transactional.id": name})
    producer.init_transactions(30)
    return producer


def test_f80_a_ready_view_has_everything_that_was_published_before_it_started(
    kafka_brokers: str, topic: str
) -> None:
    told = [(f"S-{number}", counts(1, number)) for number in range(500)]
    publish(kafka_brokers, topic, *told, ("S-7", counts(2, 900)), ("S-8", None))
    with ready_view(kafka_brokers, topic) as view:
        free = {section: answer.free for section, answer in view.sections(EVENT).items()}
        expected = {f"S-{number}": number for number in range(500)} | {"S-7": 900}
        del expected["S-8"]
        assert free == expected
        statistics = view.statistics()
    assert statistics.records == 502
    assert statistics.readings == 1
    assert statistics.is_ready
    assert statistics.trouble == ""


def test_an_empty_topic_is_ready_at_once_and_knows_nothing(kafka_brokers: str, topic: str) -> None:
    with ready_view(kafka_brokers, topic) as view:
        assert view.events() == ()


def test_the_view_follows_the_tail(kafka_brokers: str, topic: str) -> None:
    with ready_view(kafka_brokers, topic) as view:
        for version in range(1, 6):
            publish(kafka_brokers, topic, ("A", counts(version, 10 - version)))
            answer = view.wait(Demand(EVENT, "A", min_version=version), 60)
            assert answer is not None
            assert answer.free == 10 - version
        publish(kafka_brokers, topic, ("A", None))
        assert wait_until(lambda: view.get(EVENT, "A") is None, 60)


def test_b82_a_bad_record_is_passed_over(kafka_brokers: str, topic: str) -> None:
    with ready_view(kafka_brokers, topic) as view:
        with producing(kafka_brokers) as producer:
            put(producer, topic, counts(1, 5))
            spoil(producer, topic, b"garbage")
            put(producer, topic, counts(2, -1, largest=0))
            # (A compacted topic takes no record without a key.)
            producer.produce(topic, b"garbage", b"nobody", 0)
            put(producer, topic, counts(1, 3), "B")
        view.wait(Demand(EVENT, "B", min_version=1), 60)
        assert wait_until(lambda: view.statistics().records == 5, 60)
        assert view.statistics().bad == {"BAD_WIRE_HEADER": 2, "IMPOSSIBLE_COUNTS": 1}
        assert free_of(view) == 5
        # Nobody can say what section A is like now, so its age does not fall again ...
        with pytest.raises(TooStale):
            view.wait(Demand(EVENT, "A", max_staleness_ms=1), 1)
        publish(kafka_brokers, topic, ("A", counts(3, 4)))
        # ... until somebody does.
        answer = view.wait(Demand(EVENT, "A", max_staleness_ms=1_000, min_version=3), 60)
        assert answer is not None
        assert answer.free == 4


def test_what_a_transaction_holds_back_is_not_told_and_makes_nothing_stale(
    kafka_brokers: str, topic: str, topic_prefix: str
) -> None:
    publish(kafka_brokers, topic, ("A", counts(1, 9)))
    producer = transactional(kafka_brokers, topic_prefix + "status")
    with ready_view(kafka_brokers, topic) as view:
        producer.begin_transaction()
        put(producer, topic, counts(2, 8))
        assert producer.flush(20) == 0
        beats = view.statistics().heartbeats
        assert wait_until(lambda: view.statistics().heartbeats >= beats + 3, 60)
        assert free_of(view) == 9
        assert view.wait(Demand(EVENT, "A", max_staleness_ms=1_000), 60) is not None
        producer.abort_transaction(20)

        producer.begin_transaction()
        put(producer, topic, counts(2, 7))
        producer.commit_transaction(20)
        answer = view.wait(Demand(EVENT, "A", min_version=2), 60)
        assert answer is not None
        assert answer.free == 7
        # The marker behind the last record is part of the log's end, and is reached as well.
        assert view.wait(Demand(EVENT, "A", max_staleness_ms=500), 60) is not None


def test_a_cold_start_ends_behind_an_aborted_transaction(
    kafka_brokers: str, topic: str, topic_prefix: str
) -> None:
    producer = transactional(kafka_brokers, topic_prefix + "status")
    producer.begin_transaction()
    put(producer, topic, counts(2, 8))
    assert producer.flush(20) == 0
    producer.abort_transaction(20)
    with ready_view(kafka_brokers, topic) as view:
        assert view.get(EVENT, "A") is None


def test_an_idle_topic_stays_fresh(kafka_brokers: str, topic: str) -> None:
    publish(kafka_brokers, topic, ("A", counts(1, 9)))
    with ready_view(kafka_brokers, topic, heartbeat_ms=50) as view:
        beats = view.statistics().heartbeats
        assert wait_until(lambda: view.statistics().heartbeats >= beats + 5, 60)
        # Younger than it was told: somebody has looked since.
        answer = view.wait(Demand(EVENT, "A", max_staleness_ms=200), 60)
        assert answer is not None
        assert not answer.stale
        assert view.statistics().records == 1


def test_two_views_give_the_same_answers(kafka_brokers: str, topic: str) -> None:
    publish(kafka_brokers, topic, *((f"S-{n}", counts(1, n)) for n in range(50)))
    with ready_view(kafka_brokers, topic) as one:
        publish(kafka_brokers, topic, *((f"S-{n}", counts(2, n + 1)) for n in range(0, 50, 2)))
        with ready_view(kafka_brokers, topic) as other:
            assert one.wait(Demand(EVENT, "S-48", min_version=2), 60) is not None
            assert wait_until(
                lambda: (
                    {name: answer[:5] for name, answer in one.sections(EVENT).items()}
                    == {name: answer[:5] for name, answer in other.sections(EVENT).items()}
                ),
                60,
            )


def test_a_missing_topic_is_named_at_once_and_used_once_it_exists(
    kafka_brokers: str, topic_prefix: str
) -> None:
    name = topic_prefix + "later"
    with AvailabilityView(kafka_brokers, topic=name) as view:
        with pytest.raises(TopicMissing, match=name):
            view.wait_ready(60)
        assert name in view.statistics().trouble
        create_topics(kafka_brokers, [NewTopic(name, PARTITIONS)])
        publish(kafka_brokers, name, ("A", counts(1, 9)))
        assert wait_until(view.is_ready, 60)
        assert view.wait(Demand(EVENT, "A", min_version=1), 60) is not None
        assert wait_until(lambda: view.statistics().trouble == "", 60)


def test_a_topic_created_anew_is_read_anew(kafka_brokers: str, topic: str) -> None:
    publish(kafka_brokers, topic, ("A", counts(9, 9)), ("B", counts(9, 9)))
    admin = AdminClient({"bootstrap.servers": kafka_brokers})
    with ready_view(kafka_brokers, topic) as view:
        for deleted in admin.delete_topics([topic]).values():
            deleted.result(timeout=60)
        assert wait_until(lambda: topic not in admin.list_topics(timeout=10).topics, 60)
        create_topics(kafka_brokers, [NewTopic(topic, PARTITIONS, config=COMPACT)])
        # More records than before, and a lower version: neither offsets nor versions betray it.
        told = [("A", counts(2, 4))] * 30
        publish(kafka_brokers, topic, *told)
        assert wait_until(lambda: free_of(view) == 4, 60)
        assert view.get(EVENT, "B") is None
        assert view.statistics().readings > 1


def test_nothing_is_left_on_the_broker_or_in_the_process(kafka_brokers: str, topic: str) -> None:
    with ready_view(kafka_brokers, topic) as view:
        waiting = threading.Thread(
            target=view.wait,
            args=(Demand(EVENT, "A", min_version=1), 60),
            kwargs={"or_stale": True},
        )
        waiting.start()
        assert wait_until(lambda: len(view._waiters) == 1, 60)
    waiting.join(timeout=60)
    assert not waiting.is_alive()
    assert "availability-view" not in {thread.name for thread in threading.enumerate()}
    admin = AdminClient({"bootstrap.servers": kafka_brokers})
    groups = admin.list_consumer_groups(request_timeout=60).result()
    assert not [found for found in groups.valid if "availability-view" in found.group_id]
    assert view.get(EVENT, "A") is None


def test_the_example_in_the_docs_runs(kafka_brokers: str, topic: str) -> None:
    publish(kafka_brokers, topic, ("A", counts(3, 10, largest=4)))
    done = subprocess.run(
        [sys.executable, "-m", "docs.examples.availability", str(EVENT), "A", "5"],
        cwd=ROOT,
        env={
            **child_environment(),
            "KAFKA_BROKERS": kafka_brokers,
            "SECTION_STATUS_TOPIC": topic,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "10 free, 4 side by side, version 3"
    assert lines[2] == "refused: NO_ADJACENT_SEATS"


# --- faults: a broker of our own -------------------------------------------------------------


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Stack]:
    """Give a broker that may be paused and killed."""
    with ephemeral_stack(
        "tests-view", parts={"kafka"}, kafka_properties=QUICK_RESTART, fast_jit=True
    ) as stack:
        yield stack


@pytest.fixture
def own_topic(own_broker: Stack, topic_prefix: str) -> str:
    name = topic_prefix + "section-status"
    create_topics(own_broker.kafka_brokers, [NewTopic(name, PARTITIONS, config=COMPACT)])
    return name


class AnsweringProcess:
    """Another process with a view; asked through pipes, which keep what a paused one is asked."""

    def __init__(self, brokers: str, topic: str, stale_after_ms: int) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "integration.answering_view"),
                *(brokers, topic, str(stale_after_ms)),
            ],
            cwd=ROOT,
            env={**child_environment(), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, quantity: int, section: str = "A") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{EVENT} {section} {quantity}\n")
        self._process.stdin.flush()

    def answer(self) -> tuple[int, int, int, str, str]:
        """Return version, free seats, staleness, stale or fresh, the prefilter's verdict."""
        assert self._process.stdout is not None
        version, free, staleness_ms, age, verdict = self._process.stdout.readline().split()
        return int(version), int(free), int(staleness_ms), age, verdict

    def pause(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)
        state = Path(f"/proc/{self._process.pid}/stat")
        assert wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", 60)

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=60)


def test_f81_a_paused_process_answers_stale_before_its_first_heartbeat_and_then_recovers(
    own_broker: Stack, own_topic: str
) -> None:
    """The broker sleeps too when the process wakes, so that no question can be answered."""
    brokers = own_broker.kafka_brokers
    publish(brokers, own_topic, ("A", counts(1, 0)))
    limit_ms = 700
    process = AnsweringProcess(brokers, own_topic, limit_ms)

    def tells(quantity: int, age: str, verdict: str) -> bool:
        process.ask(quantity)
        return process.answer()[3:] == (age, verdict)

    try:
        assert wait_until(lambda: tells(1, "fresh", "SOLD_OUT"), 60)
        process.pause()
        publish(brokers, own_topic, ("A", counts(2, 5)))
        own_broker.pause_broker()
        over_ns = boot_clock_ns() + (limit_ms + 100) * 1_000_000
        assert wait_until(lambda: boot_clock_ns() > over_ns, 60)
        process.ask(1)
        process.resume()
        version, free, staleness_ms, age, verdict = process.answer()
        # What the broker had sent before it slept may be read already; it makes nothing younger.
        assert (version, free) in {(1, 0), (2, 5)}
        assert (age, verdict) == ("stale", "-")
        assert staleness_ms > limit_ms
        own_broker.resume_broker()

        def has_recovered() -> bool:
            process.ask(1)
            return process.answer()[:2] == (2, 5)

        assert wait_until(has_recovered, 60)
        assert wait_until(lambda: tells(6, "fresh", "SOLD_OUT"), 60)
    finally:
        own_broker.resume_broker()
        process.end()


def test_f81_a_broker_that_is_gone_makes_answers_stale_and_its_return_makes_them_fresh(
    own_broker: Stack, own_topic: str
) -> None:
    brokers = own_broker.kafka_brokers
    publish(brokers, own_topic, ("A", counts(1, 0)))
    with ready_view(brokers, own_topic, stale_after_ms=600) as view:
        assert wait_until(lambda: view.can_refuse(EVENT, "A", 1) is Reason.SOLD_OUT, 60)
        own_broker.kill_broker()
        assert wait_until(lambda: view.can_refuse(EVENT, "A", 1) is None, 60)
        answer = view.get(EVENT, "A")
        assert answer is not None
        assert answer.stale
        assert wait_until(lambda: view.statistics().trouble != "", 60)
        own_broker.start_broker()
        publish(brokers, own_topic, ("A", counts(2, 3)))
        answer = view.wait(Demand(EVENT, "A", max_staleness_ms=500, min_version=2), 60)
        assert answer is not None
        assert (answer.free, answer.stale) == (3, False)
        assert wait_until(lambda: view.statistics().trouble == "", 60)


def test_a_start_without_a_broker_succeeds_when_it_comes(
    own_broker: Stack, own_topic: str
) -> None:
    brokers = own_broker.kafka_brokers
    publish(brokers, own_topic, ("A", counts(1, 7)))
    own_broker.kill_broker()
    with AvailabilityView(brokers, topic=own_topic) as view:
        with pytest.raises(NotReady):
            view.wait_ready(0.2)
        own_broker.start_broker()
        view.wait_ready(60)
        assert free_of(view) == 7


def test_s3_a_view_that_slept_while_its_broker_was_restored_shows_what_the_log_has_now(
    own_broker: Stack, own_topic: str
) -> None:
    """The log has grown beyond what was read before anybody looks: its end tells nothing."""
    brokers = own_broker.kafka_brokers
    data, backup = own_broker.directory / "kafka-1", own_broker.directory / "backup"
    publish(brokers, own_topic, ("A", counts(1, 9)), ("B", counts(1, 9)))
    own_broker.stop_broker()
    shutil.copytree(data, backup, symlinks=True)
    own_broker.start_broker()
    # What the log will not have: A has no seats left at version 3.
    publish(brokers, own_topic, ("A", counts(2, 4)), ("A", counts(3, 0)))
    process = AnsweringProcess(brokers, own_topic, 60_000)
    try:
        process.ask(1)
        assert process.answer()[:2] == (3, 0)
        process.pause()
        own_broker.stop_broker()
        shutil.rmtree(data)
        shutil.copytree(backup, data, symlinks=True)
        own_broker.start_broker()
        for number in range(2, 9):
            publish(brokers, own_topic, ("A", counts(2, 5)), ("B", counts(number, number)))
        process.resume()

        def shows_the_log() -> bool:
            process.ask(1)
            return process.answer()[:2] == (2, 5)

        assert wait_until(shows_the_log, 60)
    finally:
        process.end()
