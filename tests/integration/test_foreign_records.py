"""Valid Kafka records that no producer of ours writes, on a real broker and registry.

Each stands beside commands of ours that must be decided whatever the strangers do.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer
from faults.foreign_producer import append, batch, record
from integration.pods import PodProcess, Servers, run_audit, run_script
from integration.workers import Fleet, LoggedRecord, read_committed
from support.registries.filled import stack_with_schemas

from infra.stack.processes import wait_until
from infra.stack.registry import SchemaRegistry
from schemas.topics import (
    DEAD_LETTER_QUEUE,
    EVENTS,
    RESERVATION_OUTCOMES,
    SECTION_COMMANDS,
    SECTION_STATUS,
)
from scripts.brokers.addresses import Servers as Addresses
from scripts.processes.workers import Supervisor, Worker
from scripts.traffic.sending import CommandEncoders, schema_ids
from serdes.avro.varints import write_long
from state.domain.keys import partition_of, section_key
from streams.runtime.transactions.schema_questions import WAIT_S

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

EVENT, PARTITIONS = 7, 2
PLAN = """{"event": "Hall", "sections": [
    {"section": "A", "rows": 9, "seats": 30}, {"section": "B", "rows": 9, "seats": 30},
    {"section": "C", "rows": 9, "seats": 30}, {"section": "D", "rows": 9, "seats": 30}]}"""
NAME = b"caf\xe9-"

Command = tuple[bytes, bytes, bytes]
"""Reservation id, key and value."""


@dataclass
class Place:
    """An open event, its worker, and commands for it."""

    servers: Servers
    registry: SchemaRegistry
    worker: Worker
    encoders: CommandEncoders
    holds: int = field(default=0)

    def hold(self, section: str = "A") -> Command:
        """Return reservation id, key and value of a command that nobody sent yet."""
        self.holds += 1
        name = f"hold-{self.holds}"
        identity = self.encoders.identity(name, "user", section, EVENT)
        return name.encode(), section_key(EVENT, section), self.encoders.hold_best(identity, 1)

    def send(self, *commands: bytes | Command, **options: Any) -> None:
        """Send commands of ours, or batches of strangers to section A's partition."""
        producer = Producer({"bootstrap.servers": self.servers.brokers, **options})
        for one in commands:
            if isinstance(one, bytes):
                self.append(
                    SECTION_COMMANDS.name, partition_of(section_key(EVENT, "A"), PARTITIONS), one
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

    def decided(self, *commands: Command) -> bool:
        """Say whether each has an outcome, within a minute."""
        wanted = {name for name, _, _ in commands}
        outcomes = RESERVATION_OUTCOMES.name
        return wait_until(lambda: wanted <= {one.key for one in self.records(outcomes)}, 60)

    @staticmethod
    def partition(command: Command) -> int:
        return partition_of(command[1], PARTITIONS)

    def ready(self) -> str:
        """Return the text of the worker's page, which says why a partition is set aside.

        Empty where it does not answer in time: on a busy machine it may not.
        """
        folder = self.servers.directory / "worker" / "data"
        port = int((folder / "health-port").read_text())
        try:
            return httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).text
        except httpx.TransportError:
            return ""

    def letter(self, value: bytes) -> LoggedRecord:
        (one,) = [one for one in self.records(DEAD_LETTER_QUEUE.name) if one.value == value]
        return one


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("foreign")
    with stack_with_schemas("tests-foreign") as stack:
        servers = Servers(stack.kafka_brokers, stack.registry_url, "", folder)
        run_script(servers, "create_topics", "--partitions", str(PARTITIONS))
        # All tests share it, and some of them write what cannot be read.
        limits = {f"SEATSTREAM_DEAD_LETTER_{one}_LIMIT": "500" for one in ("RUN", "SHARE")}
        where = Addresses(servers.brokers, servers.registry_url)
        worker = Worker("worker", where, folder, limits)
        worker.start()
        try:
            Supervisor([worker]).wait_until_ready(60)
            (folder / "plan.json").write_text(PLAN, encoding="utf-8")
            run_script(servers, "open_event", str(folder / "plan.json"), "--event-id", str(EVENT))
            ids = schema_ids(servers.registry_url, servers.brokers)
            registry = stack._registry
            assert registry is not None
            yield Place(servers, registry, worker, CommandEncoders(ids))
            run_audit(servers)
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

    def is_there() -> bool:
        letters = going_on.records(DEAD_LETTER_QUEUE.name)
        return value + b"!" in {one.value for one in letters}

    assert wait_until(is_there, 60)
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


def chosen(place: Place, name: str, seats: list[int], *, with_size: bool) -> Command:
    """Return a hold of chosen seats, its array in our form or as encoders in Go write it."""
    identity = place.encoders.identity(name, "user", "A", EVENT)
    value = place.encoders.hold_chosen(identity, [(8, seat) for seat in seats])
    items = b"".join(write_long(8) + write_long(seat) for seat in seats)
    ours = write_long(len(seats)) + items + b"\0"
    assert value.endswith(ours)
    if with_size:
        theirs = write_long(-len(seats)) + write_long(len(items)) + items + b"\0"
        value = value.removesuffix(ours) + theirs
    return name.encode(), section_key(EVENT, "A"), value


def test_b1_commands_in_another_block_form_are_decided_and_repeated(going_on: Place) -> None:
    # Twelve, which as dead letters in a row would be too many for one worker.
    theirs = [chosen(going_on, f"go-{one}", [one, one + 12], with_size=True) for one in range(12)]
    going_on.send(*theirs)
    assert going_on.decided(*theirs)
    again = chosen(going_on, "go-0", [0, 12], with_size=False)
    going_on.send(again)
    outcomes = RESERVATION_OUTCOMES.name

    def told() -> list[bytes]:
        return [(one.value or b"")[:5] for one in going_on.records(outcomes) if one.key == b"go-0"]

    assert wait_until(lambda: len(told()) == 2, 60), going_on.worker.log()
    # The same values in another form are the same command: its outcome again, and no conflict.
    assert len(set(told())) == 1


def of_id(schema_id: int) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + b"what it says is known to nobody"


def test_b2_ids_that_the_registry_does_not_know_hold_nobody_up(going_on: Place) -> None:
    ids = [0, 1_999_999, 1 << 31, (1 << 32) - 1, 3_999_999, 5_000_001]
    mixed: list[Command] = []
    for schema_id in ids:
        mixed += [(b"", section_key(EVENT, "A"), of_id(schema_id)), going_on.hold()]
    going_on.send(*mixed)
    assert going_on.decided(*mixed[1::2])
    wanted = set(map(of_id, ids))
    letters = [one for one in going_on.records(DEAD_LETTER_QUEUE.name) if one.value in wanted]
    assert sorted(letter.value or b"" for letter in letters) == sorted(wanted)
    assert {letter.header("dead-letter-cause") for letter in letters} == {"UNKNOWN_SCHEMA"}


def test_f85_a_registry_that_is_down_holds_one_partition_up_once(going_on: Place) -> None:
    others = [going_on.hold("B"), going_on.hold("C"), going_on.hold("D")]
    apart = [
        one for one in others if going_on.partition(one) != going_on.partition(going_on.hold())
    ]
    assert apart, "every section lies on one partition"
    held_up = going_on.hold("A")
    going_on.registry.kill()
    try:
        asked = [(b"", section_key(EVENT, "A"), of_id(number)) for number in range(7_000, 7_004)]
        going_on.send(*asked, held_up)
        assert wait_until(lambda: "asking the registry" in going_on.ready(), 60)
        going_on.send(*apart)
        assert going_on.decided(*apart)
        # The others do not wait for it: they are decided first.
        assert held_up[0] not in {one.key for one in going_on.records(RESERVATION_OUTCOMES.name)}
        # All four cost the one half minute together, though nobody answered any of them.
        assert wait_until(lambda: going_on.decided(held_up), WAIT_S + 60)
    finally:
        going_on.registry.restart()
        going_on.registry.wait()


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
        made = pod.create(EVENT, "key-1", "B")
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
    assert wait_until(lambda: "cramjam" in worker.page("/ready")[1], 60), worker.tail()
    fleet.append([b"w"] * 50, 1)

    def counted() -> int:
        return len(read_committed(fleet.brokers, fleet.topics.counts, 2))

    assert wait_until(lambda: counted() >= 100, 60), worker.tail()
    assert worker.is_alive()
    place = f"{fleet.topics.words}-0"
    assert wait_until(lambda: place in worker.page("/ready")[1], 60), worker.tail()
