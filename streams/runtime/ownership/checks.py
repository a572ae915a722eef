"""Checks at start: a worker refuses to run over topics with which seats could be sold twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource

from infra.process.kafka_security import NO_OPTIONS
from state.kafka.refusals import Refusals
from streams.route import Route
from streams.runtime.process.fatal import WorkerMustEnd

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the checks learned: partition count and id by topic, and which topics are compacted."""

    partitions: Mapping[str, int]
    identities: Mapping[str, str]
    compacted: frozenset[str]


def check_cluster(
    brokers: str,
    routes: Iterable[Route],
    *,
    log_append_time: bool,
    kafka: Mapping[str, str] = NO_OPTIONS,
) -> Cluster:
    """Check every topic of the routes; raise WorkerMustEnd with what to correct.

    log_append_time: whether inputs must carry the broker's time.
    kafka: further options of librdkafka, such as for TLS and SASL.
    """
    refusals = Refusals()
    options: dict[str, Any] = {"bootstrap.servers": brokers, "socket.timeout.ms": 10_000, **kafka}
    options["error_cb"] = refusals
    admin = AdminClient(options)
    routes = tuple(routes)
    wanted = {
        name
        for route in routes
        for name in (route.source, route.changelog, route.dead_letters, *route.to)
    }
    try:
        described = admin.describe_topics(
            TopicCollection(sorted(wanted)), request_timeout=_TIMEOUT_S
        )
        topics = {name: _answer(name, future) for name, future in described.items()}
        configs = _configs(admin, wanted)
    except KafkaException as error:
        # Only while it is polled does the client tell `refusals` why it was not let in.
        admin.poll(0)
        message = (
            f"no answer from the brokers {brokers}: {refusals.told_with(error)}. Are they up, is "
            "the address right, do KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_* and KAFKA_SSL_* fit them?"
        )
        raise WorkerMustEnd(message) from error
    partitions = {name: len(topic.partitions) for name, topic in topics.items()}
    for route in routes:
        _check_route(route, partitions, configs, log_append_time=log_append_time)
    identities = {name: str(topic.topic_id) for name, topic in topics.items()}
    compacted = frozenset(
        name for name, config in configs.items() if "compact" in config.get("cleanup.policy", "")
    )
    return Cluster(partitions, identities, compacted)


def _answer(topic: str, future: Any) -> Any:
    try:
        return future.result()
    except KafkaException as error:
        code = error.args[0].code()
        if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            message = f"topic {topic}: {error}. Grant this worker the rights in SECURITY.md"
        elif code == KafkaError.UNKNOWN_TOPIC_OR_PART:
            message = (
                f"topic {topic}: {error}. Create the topics first: python -m "
                "scripts.create_topics; those of a topology of your own as "
                "docs/write-your-own-topology.md says. But where it was there before, see "
                '"A topic is lost" in docs/operations.md'
            )
        else:
            raise
        raise WorkerMustEnd(message) from error


def _configs(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    answers = admin.describe_configs(resources, request_timeout=_TIMEOUT_S)
    return {
        resource.name: {key: entry.value for key, entry in _answer(resource.name, future).items()}
        for resource, future in answers.items()
    }


def _check_route(
    route: Route,
    partitions: Mapping[str, int],
    configs: Mapping[str, Mapping[str, str]],
    *,
    log_append_time: bool,
) -> None:
    expected = partitions[route.source]
    for name in (route.changelog, route.dead_letters, *route.to):
        # What is told again from the state may lie on any number of partitions.
        if partitions[name] != expected and name not in route.retold_topics:
            message = (
                f"{name} has {partitions[name]} partitions, {route.source} has {expected}: they "
                "must be equal; partitions must never be added to a topic that holds sections. "
                'See "Partitions were added" in docs/operations.md'
            )
            raise WorkerMustEnd(message)
    policy = configs[route.changelog].get("cleanup.policy")
    if policy != "compact":
        message = (
            f"{route.changelog} has cleanup.policy={policy}: it must be compact, and nothing "
            "else, or state older than its retention is lost. If nothing was lost yet: python -m "
            "scripts.create_topics --apply-configs"
        )
        raise WorkerMustEnd(message)
    stamp = configs[route.source].get("message.timestamp.type")
    if log_append_time and stamp != "LogAppendTime":
        message = (
            f"{route.source} has message.timestamp.type={stamp}: it must be LogAppendTime, the "
            "time of every decision: python -m scripts.create_topics --apply-configs"
        )
        raise WorkerMustEnd(message)
