"""The broker of a benchmark: fresh topics, positions, bytes on disk, its processor time."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import psutil
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from benchmarks.pod_runs.arena import Command
from infra.process.kafka_security import NO_OPTIONS
from infra.stack import Stack
from infra.stack.gateway import MockGateway
from schemas.topics import SECTION_COMMANDS, TOPICS, Topic
from scripts.contracts.patient_registry import PATIENCE_S, PatientRegistry
from scripts.contracts.registering import register
from scripts.contracts.topics import carry_out, plan
from scripts.traffic.sending import CommandEncoders, CommandSender
from serdes.registry.client import fetch_ids

REQUEST_TIMEOUT_S = 20.0
_COORDINATOR_AWAY = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
_LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
TOPICS_TIMEOUT_S = 60.0


class BenchmarkFailed(Exception):
    """A part did not do what is to be measured; no figure came of it.

    Operator action: the message tells which part, and shows the end of its log.
    """


class Cluster:
    """One broker with the seats' topics."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.brokers = stack.kafka_brokers
        self.registry_url = stack.registry_url
        self._stack = stack
        self._directory = directory
        self._broker = psutil.Process(stack.broker_pids[1])
        self._admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        registry = PatientRegistry(self.registry_url, PATIENCE_S)
        register(registry)
        self.ids = fetch_ids(registry)
        self.encoders = CommandEncoders(self.ids)

    @property
    def gateway(self) -> MockGateway:
        """Return the mock gateway beside it, of a benchmark that asks for one."""
        return self._stack.gateway

    @property
    def redis_url(self) -> str:
        """Return the address of the Redis beside it, of a benchmark that asks for one."""
        return self._stack.redis_url

    def fresh_topics(self) -> None:
        """Delete the seats' topics and create them empty."""
        present = self._admin.list_topics(timeout=REQUEST_TIMEOUT_S).topics
        self.delete_topics([topic.name for topic in TOPICS if topic.name in present])
        _retry(self._create, "topics could not be created")

    def topics_named(self, prefix: str) -> list[str]:
        """Return the names of the topics that begin so."""
        topics = self._admin.list_topics(timeout=REQUEST_TIMEOUT_S).topics
        return [name for name in topics if name.startswith(prefix)]

    def delete_topics(self, names: Collection[str]) -> None:
        """Delete topics that exist; return when the broker lists them no longer."""
        if not names:
            return
        for answer in self._admin.delete_topics(list(names)).values():
            answer.result(REQUEST_TIMEOUT_S)
        _retry(lambda: self._are_gone(names), f"topics {names} are not deleted")

    def create_compacted(
        self, names: Collection[str], partitions: int, options: Mapping[str, str] = NO_OPTIONS
    ) -> None:
        """Create compacted topics; options: further configs of them."""
        config = {"cleanup.policy": "compact", **options}
        topics = [NewTopic(name, partitions, 1, config=config) for name in names]
        for answer in self._admin.create_topics(topics).values():
            answer.result(REQUEST_TIMEOUT_S)

    def _are_gone(self, names: Collection[str]) -> bool:
        return not set(names) & set(self._admin.list_topics(timeout=REQUEST_TIMEOUT_S).topics)

    def _create(self) -> bool:
        carry_out(self._admin, plan(TOPICS, {}))
        return True

    def preload(self, commands: Iterable[Command], topic: Topic = SECTION_COMMANDS) -> int:
        """Send commands as fast as they can be made; return how many, all acknowledged."""
        sender = CommandSender(self.brokers, topic=topic, linger_ms=20)
        for number, command in enumerate(commands):
            sender.send(command.key, command.value)
            if not number & 1023:
                sender.poll()
        missing = sender.flush()
        if missing or sender.failed:
            raise BenchmarkFailed(f"{missing} commands not acknowledged; {sender.failed[:3]}")
        return sender.sent

    def ends(self, topic: Topic = SECTION_COMMANDS) -> list[int]:
        """Return the end offset of each partition."""
        wanted = {TopicPartition(topic.name, n): _LATEST for n in range(topic.partitions)}
        offsets: dict[int, int] = {}

        def ask() -> bool:
            answers = self._admin.list_offsets(wanted, request_timeout=REQUEST_TIMEOUT_S)
            for place, answer in answers.items():
                offsets[place.partition] = answer.result(REQUEST_TIMEOUT_S).offset
            return True

        # The client may know the leaders of a topic that was deleted meanwhile.
        _retry(ask, f"no end offsets of {topic.name}")
        return [offsets[number] for number in range(topic.partitions)]

    def positions(self, group: str) -> "Positions":
        """Return a view of a group's committed offsets; close it after use."""
        return Positions(self.brokers, group, SECTION_COMMANDS)

    def bytes_on_disk(self, topic: str) -> int:
        """Return the size of a topic's log: records, batch headers and commit markers."""
        files = self._directory.glob(f"kafka-1/broker-1/data/{topic}-*/*.log")
        # A deleted topic's folders end in `-delete`, until the broker removes them.
        return sum(file.stat().st_size for file in files if file.parent.name[-1].isdigit())

    def cpu_s(self) -> float:
        """Return the processor time that the broker has used."""
        times = self._broker.cpu_times()
        return times.user + times.system


class Positions:
    """A group's committed offsets, asked for without joining the group.

    Not through the admin client: librdkafka 2.16 dereferences a null pointer there when the
    group's coordinator is not at hand yet.
    """

    def __init__(self, brokers: str, group: str, topic: Topic) -> None:
        self._topic = topic
        self._known = [0] * topic.partitions
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": group,
                "enable.auto.commit": False,
                # Otherwise an answer waits until no transaction with offsets is under way.
                "isolation.level": "read_uncommitted",
                "log_level": 0,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def committed(self) -> list[int]:
        """Return the position on each partition; 0 where there is none.

        What was known last, while the group's coordinator is not at hand.
        """
        wanted = [
            TopicPartition(self._topic.name, number) for number in range(self._topic.partitions)
        ]
        try:
            found = self._consumer.committed(wanted, REQUEST_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in _COORDINATOR_AWAY:
                raise
        else:
            # Where nothing can be told of a partition, that is not that nothing is committed.
            self._known = [
                max(0, one.offset) if one.error is None else known
                for one, known in zip(found, self._known, strict=True)
            ]
        return self._known


def _retry(attempt: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + TOPICS_TIMEOUT_S
    while True:
        error: Exception | None = None
        try:
            if attempt():
                return
        except (KafkaException, TimeoutError) as caught:
            error = caught
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{complaint}: {error}")
        time.sleep(0.1)
