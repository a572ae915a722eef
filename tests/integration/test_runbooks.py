"""What docs/operations.md tells an operator to do, done on real servers, word for word.

Kafka's own tools are no part of the tests: what the document does with them is done by a client,
with the topics and the group that its commands name.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic
from faults.lost_topic import delete_topic
from faults.restored_backup import back_up, put_back
from integration.conftest import FAST_SESSIONS
from integration.pods import PodProcess, Servers, run_audit
from integration.seat_workers import Seats
from integration.workers import (
    ENDED_ITSELF,
    Worker,
    create_topics,
    producing,
    read_committed,
)
from support.pages.document_pages import DOCS, section_of
from support.payments.paying import PODS
from support.records.registry_fake import fake_registry
from support.seats.section_commands import EVENT, PARTITIONS, hold

from infra.stack import QUICK_RESTART, Stack, ephemeral_stack
from infra.stack.processes import wait_until
from schemas.topics import (
    PAYMENT_COMMANDS,
    PURCHASES_CHANGELOG,
    RESERVATION_OUTCOMES,
    SCHEMA_IDS,
    SEATS_CHANGELOG,
    SECTION_COMMANDS,
    subjects,
)
from scripts.contracts.registering import register
from serdes.registry.client import Registry
from state.kafka.schema_id_log import SchemaIdLog
from streams.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

SECTIONS = [f"S{number}" for number in range(8)]
OPENING = {
    "event_id": EVENT,
    "name": "Hall",
    "starts_at_ms": 4_000_000_000_000,
    "plan": {
        "event": "Hall",
        "sections": [{"section": name, "rows": 1, "seats": 9} for name in SECTIONS],
    },
}


def part(title: str) -> str:
    """Return what stands under a heading; fails where there is none of this name."""
    return section_of(DOCS / "operations.md", title)


@dataclass
class Operator:
    """Somebody who has the texts, and the servers."""

    stack: Stack
    seats: Seats
    servers: Servers

    def worker(self, name: str) -> Worker:
        return self.seats.worker(name).start("topology").wait_ready()

    @contextmanager
    def pod(self, name: str) -> Iterator[PodProcess]:
        pod = PodProcess(self.servers, name)
        try:
            yield pod.wait_ready()
        finally:
            pod.end()

    def is_held(self, reservation: str, section: str) -> bool:
        """Ask for a seat, and say whether it comes to be held."""
        self.seats.send(hold(reservation, 1, section=section))
        return wait_until(lambda: self.seats.names(reservation)[-1:] == ["SeatsHeld"], 60)

    def told_to_read(self, worker: Worker, title: str) -> str:
        """Return the part of the document that a worker's last words name."""
        assert f'"{title}" in docs/operations.md' in worker.output(), worker.tail()
        return part(title)

    def have_payments_decide(self) -> None:
        """Leave a state of payments behind on every partition."""
        with producing(self.seats.brokers) as producer:
            for number in range(PARTITIONS):
                hint = PODS.hint("mock", "evt_1", f"t-r9.1.{number}")
                producer.produce(PAYMENT_COMMANDS.name, key=b"t-r9", value=hint, partition=number)
            assert producer.flush(30) == 0

        def has_state() -> bool:
            name = PURCHASES_CHANGELOG.name
            stored = read_committed(self.seats.brokers, name, PARTITIONS)
            return {record.partition for record in stored} == set(range(PARTITIONS))

        assert wait_until(has_state, 60)

    def set_offsets(self, offset: int) -> None:
        """Do what "Set the group's offsets" does with Kafka's tool."""
        assert "--reset-offsets --to-offset" in part("Set the group's offsets")
        topic = SECTION_COMMANDS.name
        offsets = [TopicPartition(topic, number, offset) for number in range(PARTITIONS)]
        asked = [ConsumerGroupTopicPartitions(Settings().app_id, offsets)]

        # Kept: a client that is gone answers nothing.
        admin = self._admin()

        def is_done() -> bool:
            # Until the session of the last member is over the broker refuses.
            with suppress(KafkaException):
                (moved,) = admin.alter_consumer_group_offsets(asked).values()
                told = moved.result(timeout=60).topic_partitions
                return not any(place.error for place in told)
            return False

        assert wait_until(is_done, 60)

    def begin_anew(self, *workers: Worker) -> None:
        """Do what "Begin anew" says, with the topics, group and files that it names."""
        text = part("Begin anew")
        (topics,) = re.findall(r"--delete --topic '([^']+)'", text)
        (group,) = re.findall(r"--delete --group (\S+)", text)
        (files,) = re.findall(r'rm -rf "\$SEATSTREAM_DATA_DIR"/{([^}]+)}', text)
        assert group == Settings().app_id
        for topic in topics.split("|"):
            delete_topic(self.seats.brokers, topic)
        admin = self._admin()
        for deleted in admin.delete_consumer_groups([group]).values():
            error = deleted.exception(timeout=60)
            # "may be gone already", with the offsets of its topic.
            assert not error or error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND, error
        for worker in workers:
            for name in files.split(","):
                path = worker.data_dir / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self.seats.create_topics()

    def open_event(self, pod: PodProcess, key: str) -> None:
        answer = pod.client.post("/v1/events", json=OPENING, headers={"Idempotency-Key": key})
        assert answer.status_code == 201, answer.text

    def audit(self, *arguments: str) -> None:
        with fake_registry() as registry:
            register(Registry(registry.url))
            servers = Servers(self.seats.brokers, registry.url, "", self.servers.directory)
            run_audit(servers, *arguments)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.seats.brokers})


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Give an operator of a system in which an event is open."""
    directory: Path = tmp_path_factory.mktemp("runbooks")
    properties = {**QUICK_RESTART, **FAST_SESSIONS}
    with ephemeral_stack(
        "tests-runbooks", parts={"kafka"}, kafka_properties=properties, fast_jit=True
    ) as stack:
        seats = Seats(stack.kafka_brokers, directory)
        seats.environment["SEATSTREAM_ROLES"] = "seats,payments"
        operator = Operator(stack, seats, Servers(seats.brokers, "", "", directory))
        seats.create_topics()
        try:
            worker = operator.worker("opens")
            with operator.pod("opens-pod") as pod:
                operator.open_event(pod, "open")
            assert worker.terminate() == 0
            yield operator
        finally:
            seats.stop()


def test_a_lost_changelog_is_decided_anew_from_the_commands(operator: Operator) -> None:
    worker = operator.worker("w1")
    assert operator.is_held("t-r1", SECTIONS[0])
    delete_topic(operator.seats.brokers, SEATS_CHANGELOG.name)
    operator.seats.create_topics()
    assert worker.ended(60) == ENDED_ITSELF
    assert "`a changelog is lost` in docs/operations.md" in worker.output()
    assert "**a changelog is lost**" in part("A topic is lost")
    # "create it, delete `stores/` of every worker, set the group's offsets to 0"
    for one in operator.seats.workers:
        shutil.rmtree(one.stores)
    operator.set_offsets(0)
    worker.start("topology").wait_ready()
    assert operator.is_held("t-r2", SECTIONS[0])
    assert worker.terminate() == 0
    # "outcomes are published again"
    assert operator.seats.names("t-r1") == ["SeatsHeld", "SeatsHeld"]
    operator.audit("--allow-repeats")


def test_outcomes_of_another_number_and_lost_schema_ids_are_made_anew(operator: Operator) -> None:
    brokers = operator.seats.brokers
    listed = {(one.schema_id, one.record) for one in SchemaIdLog(brokers).read()}
    assert {record for _, record in listed} == set(subjects().values())
    delete_topic(brokers, RESERVATION_OUTCOMES.name)
    create_topics(brokers, [NewTopic(RESERVATION_OUTCOMES.name, PARTITIONS + 1)])
    worker = operator.seats.worker("w2").start("topology")
    assert worker.ended(60) == ENDED_ITSELF
    assert "they must be equal" in worker.output()
    assert "delete that topic" in operator.told_to_read(worker, "Partitions were added")
    delete_topic(brokers, RESERVATION_OUTCOMES.name)
    delete_topic(brokers, SCHEMA_IDS.name)
    worker.start("topology")
    assert worker.ended(60) == ENDED_ITSELF
    assert f"topic {RESERVATION_OUTCOMES.name}" in worker.output()
    operator.told_to_read(worker, "A topic is lost")
    operator.seats.create_topics()
    worker.start("topology").wait_ready()
    assert operator.is_held("t-r3", SECTIONS[1])
    assert worker.terminate() == 0
    assert {(one.schema_id, one.record) for one in SchemaIdLog(brokers).read()} == listed


def test_commands_created_again_are_undone_by_a_backup_or_all_is_begun_anew(
    operator: Operator, tmp_path: Path
) -> None:
    seats, brokers = operator.seats, operator.seats.brokers
    worker = operator.worker("w3")
    assert operator.is_held("t-r4", SECTIONS[2])
    operator.have_payments_decide()
    assert worker.terminate() == 0
    back_up(operator.stack, tmp_path / "backup")
    # Under a running worker.
    worker.start("topology").wait_ready()
    delete_topic(brokers, SECTION_COMMANDS.name)
    assert wait_until(lambda: SECTION_COMMANDS.name in worker.page("/ready")[1], 60)
    seats.create_topics()
    assert worker.ended(60) == ENDED_ITSELF
    text = operator.told_to_read(worker, "The commands were created again")
    assert "(#a-backup)" in text
    assert "(#begin-anew)" in text
    worker.start("topology").wait_set_aside(PARTITIONS, "was deleted and created again")
    assert worker.terminate() == 0
    part("A backup")
    put_back(operator.stack, tmp_path / "backup")
    worker.start("topology").wait_ready()
    assert operator.is_held("t-r5", SECTIONS[2])
    assert worker.terminate() == 0
    # Under stopped workers, and without a backup.
    delete_topic(brokers, SECTION_COMMANDS.name)
    seats.create_topics()
    worker.start("topology").wait_set_aside(PARTITIONS, "was deleted and created again")
    assert worker.terminate() == 0
    operator.begin_anew(worker)
    worker.start("topology").wait_ready()
    with operator.pod("anew") as pod:
        assert pod.client.get("/v1/events").json()["events"] == []
        operator.open_event(pod, "open again")
        sold = [pod.create(EVENT, f"again-{name}", name, 2, wait_s=20) for name in SECTIONS]
        assert [answer.status_code for answer in sold] == [201] * len(SECTIONS), sold[0].text
    assert worker.terminate() == 0
    operator.audit()
