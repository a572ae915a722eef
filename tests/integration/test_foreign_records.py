"""Valid Kafka records that no producer of ours writes, on a real broker and registry.

Each stands beside commands of ours that must be decided whatever the strangers do.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from faults.foreign_producer import append, batch, record
from integration.pods import PodProcess, Servers, run_script
from integration.workers import Fleet, LoggedRecord, read_committed

from infra.stack import ephemeral_stack
from infra.stack.processes import wait_until
from schemas.topics import (
    DEAD_LETTER_QUEUE,
    EVENTS,
    RESERVATION_OUTCOMES,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from scripts.addresses import Servers as Addresses
from scripts.commands import CommandEncoders, key_of, schema_ids
from scripts.workers import Worker
from state.domain.keys import partition_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

EVENT, PARTITIONS = 7, 2
PLAN = """{"event": "Hall", "sections": [
    {"section": "A", "rows": 9, "seats": 30}, {"section": "B", "rows": 9, "seats": 30},
    {"section": "C", "rows": 9, "seats": 30}, {"section": "D", "rows": 9, "seats": 30}]}"""
NAME = b"caf\xe9-"


@dataclass
class Place:
    """An open event, its worker, and commands for it."""

    servers: Servers
    worker: Worker
    encoders: CommandEncoders
    holds: int = field(default=0)

    def hold(self, section: str = "A") -> tuple[bytes, bytes, bytes]:
        """Return reservation id, key and value of a command that nobody sent yet."""
        self.holds += 1
        name = f"hold-{self.holds}"
        identity = self.encoders.identity(name, "user", section, EVENT)
        return name.encode(), key_of(EVENT, section), self.encoders.hold_best(identity, 1)

    def send(self, *commands: bytes | tuple[bytes, bytes, bytes], **options: Any) -> None:
        """Send commands of ours, or batches of strangers to section A's partition."""
        producer = Producer({"bootstrap.servers": self.servers.brokers, **options})
        for one in commands:
            if isinstance(one, bytes):
                self.append(
                    SECTION_COMMANDS.name, partition_of(key_of(EVENT, "A"), PARTITIONS), one
                )
            else:
                _, key, value = one
                number = partition_of(key, PARTITIONS)
                producer.produce(SECTION_COMMANDS.name, value, key, partition=number)
                assert producer.flush(30) == 0

    def append(self, topic: str, partition: int, *batches: bytes) -> list[int]:
        return asyncio.run(append(self.servers.brokers, topic, partition, *batches))

    def records(self, topic: str) -> list[LoggedRecord]:
        return read_committed(self.servers.brokers, topic, PARTITIONS)

    def decided(self, *commands: tuple[bytes, bytes, bytes]) -> bool:
        """Say whether each has an outcome, within half a minute."""
        wanted = {name for name, _, _ in commands}
        outcomes = RESERVATION_OUTCOMES.name
        return wait_until(lambda: wanted <= {one.key for one in self.records(outcomes)}, 30)

    def letter(self, value: bytes) -> LoggedRecord:
        (one,) = [one for one in self.records(DEAD_LETTER_QUEUE.name) if one.value == value]
        return one


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("foreign")
    with ephemeral_stack("tests-foreign", parts={"kafka", "registry"}, fast_jit=True) as stack:
        servers = Servers(stack.kafka_brokers, stack.registry_url, "", folder)
        run_script(servers, "register_schemas", "register")
        run_script(servers, "create_topics", "--partitions", str(PARTITIONS))
        worker = Worker("worker", Addresses(servers.brokers, servers.registry_url), folder)
        worker.start()
        try:
            worker.wait_until_ready(60)
            (folder / "plan.json").write_text(PLAN, encoding="utf-8")
            run_script(servers, "open_event", str(folder / "plan.json"), "--event-id", str(EVENT))
            ids = schema_ids(servers.registry_url, servers.brokers)
            yield Place(servers, worker, CommandEncoders(ids))
            run_script(servers, "audit")
        finally:
            worker.terminate()
            worker.finish()


@pytest.fixture
def going_on(place: Place) -> Iterator[Place]:
    """After each test the worker is the same and goes on; in the end the log is exact."""
    pid = place.worker.pid
    yield place
    after = [place.hold("A"), place.hold("B")]
    place.send(*after)
    assert place.decided(*after), place.worker.log()
    assert place.worker.pid == pid
    assert place.worker.exit_code() is None, place.worker.log()


def test_a1_a_hold_with_a_header_name_that_is_not_utf8_is_decided(going_on: Place) -> None:
    before, it, after = (going_on.hold() for _ in range(3))
    packed = [
        record(before[1], before[2], [(b"plain", b"1")], at=0),
        record(it[1], it[2], [(NAME, b"1"), (b"none", None)], at=1),
        record(after[1], after[2], (), at=2),
    ]
    going_on.send(batch(packed))
    assert going_on.decided(before, it, after)


def test_a1_a_dead_letter_has_the_name_to_the_byte(going_on: Place) -> None:
    _, key, value = going_on.hold()
    many = [(NAME + b"%d" % number, b"v" * 500) for number in range(150)]
    going_on.send(batch([record(key, value + b"!", many)]))
    assert wait_until(lambda: bool(going_on.records(DEAD_LETTER_QUEUE.name)), 30)
    letter = going_on.letter(value + b"!")
    assert letter.key == key
    assert letter.header("dead-letter-cause") == "BAD_RECORD_HEADERS"
    assert letter.header("dead-letter-header-count") == "150"
    names = [bytes.fromhex(one) for one in letter.header("dead-letter-header-names").split(",")]
    carried = [content for _, content in letter.headers[: len(names)]]
    assert list(zip(names, carried, strict=True)) == many


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a1_commands_are_decided_however_they_were_packed(going_on: Place, codec: str) -> None:
    commands = [going_on.hold() for _ in range(5)]
    going_on.send(*commands, **{"compression.type": codec, "linger.ms": 20})
    assert going_on.decided(*commands)


def test_a1_pods_read_on_behind_a_header_name_that_is_not_utf8(going_on: Place) -> None:
    told = going_on.records(SECTION_STATUS.name)[-1]
    again = batch([record(told.key, told.value, [(NAME, b"1")])])
    for topic, partition in ((SECTION_STATUS, told.partition), (EVENTS, 0)):
        going_on.append(topic.name, partition, again)
    pod = PodProcess(going_on.servers, "pod")
    try:
        pod.wait_ready()
        # While it runs, too.
        for topic, partition in ((SECTION_STATUS, told.partition), (EVENTS, 0)):
            going_on.append(topic.name, partition, again)
        made = pod.create(EVENT, "key-1", "B", wait_s=10)
        assert made.status_code == 201, made.text
        assert pod.client.get("/health/live").status_code == 200
    finally:
        pod.end()


def test_a1_what_cannot_be_unpacked_is_the_trouble_of_its_partition(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2)
    worker = fleet.worker("one").start().wait_ready()
    producer = Producer({"bootstrap.servers": fleet.brokers, "compression.type": "zstd"})
    producer.produce(fleet.topics.words, b"w" * 200, b"k", partition=0)
    assert producer.flush(30) == 0
    fleet.append([b"w"] * 50, 1)
    assert wait_until(lambda: "cramjam" in worker.page("/ready")[1], 30), worker.tail()
    fleet.append([b"w"] * 50, 1)

    def counted() -> int:
        return len(read_committed(fleet.brokers, fleet.topics.counts, 2))

    assert wait_until(lambda: counted() >= 100, 30), worker.tail()
    assert worker.is_alive()
    assert f"{fleet.topics.words}-0" in worker.page("/ready")[1]
