"""Topics are created as listed; what differs is told, and partitions are never changed."""

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.topics import SECTION_COMMANDS, SECTION_STATUS, TOPICS
from scripts.contracts.topics import (
    ConfigDrift,
    Create,
    Existing,
    FewReplicas,
    Step,
    WrongPartitions,
    carry_out,
    existing_topics,
    plan,
)


def as_created(steps: list[Step]) -> dict[str, Existing]:
    return {
        step.name: Existing(step.partitions, step.replication, step.configs)
        for step in steps
        if isinstance(step, Create)
    }


def test_an_empty_broker_gets_every_topic() -> None:
    steps = plan(TOPICS, {})
    assert [step.name for step in steps] == [topic.name for topic in TOPICS]
    partitions = {step.name: step.partitions for step in steps if isinstance(step, Create)}
    beside = ("events", "schema-ids", "waiting-turns", "booking-queue")
    assert [partitions.pop(name) for name in beside] == [1, 1, 1, 1]
    assert set(partitions.values()) == {20}


def test_a_second_plan_is_empty() -> None:
    assert plan(TOPICS, as_created(plan(TOPICS, {}))) == []
    assert plan(TOPICS, as_created(plan(TOPICS, {}, 4, 3)), 4, 3) == []


@pytest.mark.parametrize(("has", "asked"), [(1, 3), (3, 1), (3, 3), (2, 3)])
def test_a_topic_has_as_many_copies_in_sync_as_its_own_number_allows(has: int, asked: int) -> None:
    """2 of one copy take no record; 1 of three loses what its leader alone had."""
    found = as_created(plan([SECTION_STATUS], {}, replication=has))
    steps = plan([SECTION_STATUS], found, replication=asked)
    assert steps == ([FewReplicas("section-status", has, asked)] if has < asked else [])


@pytest.mark.parametrize(("replication", "least"), [(1, "1"), (2, "1"), (3, "2")])
def test_writes_survive_the_loss_of_one_replica(replication: int, least: str) -> None:
    (step,) = plan([SECTION_STATUS], {}, replication=replication)
    assert isinstance(step, Create)
    assert step.configs["min.insync.replicas"] == least


def test_another_partition_count_is_refused_and_left() -> None:
    found = as_created(plan(TOPICS, {}, partitions=8))
    assert plan([SECTION_COMMANDS], found) == [WrongPartitions("section-commands", 8, 20)]
    # What workers tell again from the state is found by its own number.
    assert plan([SECTION_STATUS], found) == []


def test_configs_that_differ_are_told_with_both_values() -> None:
    found = as_created(plan(TOPICS, {}))
    name = SECTION_COMMANDS.name
    configs = {**found[name].configs, "message.timestamp.type": "CreateTime"}
    found[name] = replace(found[name], configs=configs)
    drift = {"message.timestamp.type": ("CreateTime", "LogAppendTime")}
    assert plan(TOPICS, found) == [ConfigDrift(name, drift)]


@pytest.mark.kafka
def test_a_real_broker_has_the_list_afterwards(kafka_brokers: str, topic_prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_brokers})
    topics = [replace(topic, name=topic_prefix + topic.name) for topic in TOPICS]
    names = [topic.name for topic in topics]
    assert carry_out(admin, plan(topics, existing_topics(admin, names), partitions=2)) == []
    assert plan(topics, existing_topics(admin, names), partitions=2) == []

    # Somebody else may have been quicker: creating again is no error.
    assert carry_out(admin, plan(topics, {}, partitions=2)) == []

    wrong = [replace(topic, log_append_time=not topic.log_append_time) for topic in topics]
    drift = plan(wrong, existing_topics(admin, names), partitions=2)
    assert len(drift) == len(topics)
    assert carry_out(admin, drift) == drift
    assert carry_out(admin, drift, configs=True) == []
    assert plan(wrong, existing_topics(admin, names), partitions=2) == []

    refused = plan(wrong, existing_topics(admin, names), partitions=3)
    assert carry_out(admin, refused, configs=True) == refused


@pytest.mark.kafka
def test_created_topics_can_be_used_at_once(kafka_brokers: str, topic_prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_brokers})
    name = topic_prefix + "used-at-once"
    carry_out(admin, [Create(name, 50, 1, {})])
    end: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    places = [TopicPartition(name, number) for number in range(50)]
    ends = admin.list_offsets(dict.fromkeys(places, end), request_timeout=60)
    assert [answer.result().offset for answer in ends.values()] == [0] * 50


class Describing:
    """Brokers that answer the question for one topic with an error."""

    def __init__(self, code: int) -> None:
        self.answer: Future[Any] = Future()
        self.answer.set_exception(KafkaException(KafkaError(code)))

    def describe_topics(self, _: object, **__: object) -> dict[str, Future[Any]]:
        return {"events": self.answer}


def test_a_topic_of_which_brokers_tell_this_user_nothing_is_not_taken_for_missing() -> None:
    unknown: Any = Describing(KafkaError.UNKNOWN_TOPIC_OR_PART)
    assert existing_topics(unknown, ["events"]) == {}
    untold: Any = Describing(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        existing_topics(untold, ["events"])
