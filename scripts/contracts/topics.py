"""What a broker's topics are compared with the listed ones, and what is done about it.

Partition counts of existing topics are never changed: keys would move to other partitions, away
from their state.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas.topics import Topic
from state.kafka.ends import END, listed

TIMEOUT_S = 30.0
# Brokers that get little of a processor take a minute to lead some hundred new partitions.
LED_TIMEOUT_S = 120.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Existing:
    """A topic as the broker has it; configs hold every topic config with its effective value."""

    partitions: int
    replication: int
    configs: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Create:
    """A topic that is missing."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]

    def __str__(self) -> str:
        return f"create {self.name}: {self.partitions} partitions, {self.replication} replicas"


@dataclass(frozen=True, slots=True)
class ConfigDrift:
    """Configs that differ: name to (on the broker, in the list)."""

    name: str
    values: Mapping[str, tuple[str | None, str]]

    def __str__(self) -> str:
        parts = (f"{key} is {was}, listed {new}" for key, (was, new) in self.values.items())
        return f"differs {self.name}: {'; '.join(parts)}"


@dataclass(frozen=True, slots=True)
class WrongPartitions:
    """A topic whose partition count is another: refused, never mended."""

    name: str
    partitions: int
    listed: int

    def __str__(self) -> str:
        return f"refused {self.name}: has {self.partitions} partitions, listed {self.listed}"


@dataclass(frozen=True, slots=True)
class FewReplicas:
    """A topic with fewer copies than are asked for: told, never mended."""

    name: str
    replicas: int
    asked: int

    def __str__(self) -> str:
        return f"refused {self.name}: has {self.replicas} replicas, asked {self.asked}"


Step = Create | ConfigDrift | WrongPartitions | FewReplicas


def plan(
    topics: Iterable[Topic],
    existing: Mapping[str, Existing],
    partitions: int | None = None,
    replication: int = 1,
) -> list[Step]:
    """Return what is missing or differs; an empty list where the broker has the list.

    partitions: for every group, instead of the listed counts: topics of a group stay alike.
    replication: of what is made; one that is there with fewer is told.
    """
    steps: list[Step] = []
    for topic in topics:
        listed = partitions or topic.partitions
        found = existing.get(topic.name)
        # By the copies that it has: one that asks for more takes no record at all, and one that
        # asks for fewer loses some with its leader.
        copies = replication if found is None else found.replication
        configs = topic.configs() | {"min.insync.replicas": str(max(1, copies - 1))}
        if found is None:
            steps.append(Create(topic.name, listed, replication, configs))
            continue
        if found.partitions != listed and not topic.any_number:
            steps.append(WrongPartitions(topic.name, found.partitions, listed))
        if found.replication < replication:
            steps.append(FewReplicas(topic.name, found.replication, replication))
        if drift := {
            key: (found.configs.get(key), value)
            for key, value in configs.items()
            if found.configs.get(key) != value
        }:
            steps.append(ConfigDrift(topic.name, drift))
    return steps


def existing_topics(admin: AdminClient, names: Iterable[str]) -> dict[str, Existing]:
    """Return those of the named topics that exist.

    Raises KafkaException, also for one that brokers tell this user nothing of: it may be there,
    and stands in no list of theirs.
    """
    answered = admin.describe_topics(TopicCollection([*names]), request_timeout=TIMEOUT_S)
    found = {name: there for name, answer in answered.items() if (there := _described(answer))}
    if not found:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in found]
    answers = admin.describe_configs(resources, request_timeout=TIMEOUT_S)
    configs_by_name = {
        resource.name: {key: entry.value for key, entry in _result(answer).items()}
        for resource, answer in answers.items()
    }
    return {
        name: Existing(
            len(there.partitions), len(there.partitions[0].replicas), configs_by_name[name]
        )
        for name, there in found.items()
    }


def _described(answer: "Future[Any]") -> Any:
    """Return what a topic is, or None where brokers say that there is none."""
    try:
        return _result(answer)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
        return None


def carry_out(admin: AdminClient, steps: Iterable[Step], *, configs: bool = False) -> list[Step]:
    """Create what is missing and, if asked, mend configs; return the steps left undone.

    Raises KafkaException. A topic that somebody else creates meanwhile is not an error.
    """
    left: list[Step] = []
    created: list[Create] = []
    for step in steps:
        if isinstance(step, Create):
            created.append(step)
        elif isinstance(step, ConfigDrift) and configs:
            entries = [
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                for key, (_, value) in step.values.items()
            ]
            resource = ConfigResource(ResourceType.TOPIC, step.name, incremental_configs=entries)
            for answer in admin.incremental_alter_configs([resource]).values():
                _result(answer)
        else:
            left.append(step)
    if created:
        _create(admin, created)
    return left


def _create(admin: AdminClient, steps: list[Create]) -> None:
    topics = [
        NewTopic(step.name, step.partitions, step.replication, config=dict(step.configs))
        for step in steps
    ]
    for answer in admin.create_topics(topics, operation_timeout=TIMEOUT_S).values():
        try:
            _result(answer)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    wait_until_led(admin, [step.name for step in steps])


def wait_until_led(admin: AdminClient, names: list[str]) -> None:
    """Wait until created topics can be used: the answer to a creation comes earlier.

    Raises TimeoutError.
    """
    deadline = monotonic() + LED_TIMEOUT_S
    while (why := _unanswered(admin, names)) is not None:
        if monotonic() > deadline:
            raise TimeoutError(f"created topics cannot be used yet: {why}")
        sleep(_POLL_S)


def _unanswered(admin: AdminClient, names: list[str]) -> str | None:
    """Ask every partition's leader, for metadata name it before it knows; return what fails."""
    topics = admin.list_topics(timeout=TIMEOUT_S).topics
    places = [
        TopicPartition(name, number)
        for name in names
        if name in topics
        for number in topics[name].partitions
    ]
    unknown = set(names) - {place.topic for place in places}
    if unknown:
        return f"{min(unknown)} is not known yet"
    answers = admin.list_offsets(dict.fromkeys(places, END), request_timeout=TIMEOUT_S)
    for place, answer in answers.items():
        try:
            listed(answer)
        except KafkaException as error:
            return f"{place.topic} {place.partition}: {error.args[0].str()}"
    return None


def _result(answer: "Future[Any]") -> Any:
    return answer.result(timeout=TIMEOUT_S)
