"""Where the broker and the registry are: configured, or those of the stack that is up."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra.paths import STACK_HOME
from infra.process.environment import BadSetting, Environment, without_password
from infra.process.kafka_security import NO_SECURITY, KafkaSecurity
from infra.process.settings import SharedSettings
from infra.stack.addresses import configured
from schemas.topics import SECTION_STATUS, TOPICS, Topic


class NotUp(Exception):
    """There is neither a configured address nor a running stack, or a setting does not fit.

    Operator action: `./scripts/stack up`, or set KAFKA_BROKERS and SCHEMA_REGISTRY_URL; correct
    the setting that the message names.
    """


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses that a script talks to, and how it reaches the brokers.

    status: the topic that pods read statuses from.
    """

    brokers: str
    registry_url: str
    security: KafkaSecurity = NO_SECURITY
    status: Topic = SECTION_STATUS

    @property
    def kafka(self) -> Mapping[str, str]:
        """Return what every client of librdkafka is given on top of the brokers."""
        return self.security.librdkafka()

    def with_status(self, name: str) -> "Servers":
        """Return the same with another topic of statuses."""
        return replace(self, status=status_named(name))

    def __str__(self) -> str:
        return f"Kafka at {self.brokers}, registry at {without_password(self.registry_url)}"


def status_in(environ: Mapping[str, str]) -> Topic:
    """Return the topic of statuses that workers and pods are set to; raises BadSetting."""
    read = Environment(environ)
    settings = SharedSettings.read(read)
    read.check()
    return status_named(settings.status_topic)


def status_named(name: str) -> Topic:
    """Return a topic of statuses: as section-status, under another name."""
    return replace(SECTION_STATUS, name=name)


def topics_in(environ: Mapping[str, str]) -> list[Topic]:
    """Return all topics, that of statuses as workers and pods are set to; raises BadSetting."""
    status = status_in(environ)
    return [status if topic is SECTION_STATUS else topic for topic in TOPICS]


def servers() -> Servers:
    """Return the addresses; a configured one wins over the stack's."""
    by_part = configured(os.environ)
    state = STACK_HOME / "stack.json"
    stack = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}
    brokers = by_part.get("kafka") or stack.get("kafka_brokers")
    registry_url = by_part.get("registry") or stack.get("schema_registry_url")
    if not brokers or not registry_url:
        missing = "broker" if not brokers else "schema registry"
        raise NotUp(
            f"no {missing}: no stack is up. Start one with ./scripts/stack up,"
            " or set KAFKA_BROKERS and SCHEMA_REGISTRY_URL"
        )
    try:
        security = KafkaSecurity.from_env(os.environ)
        return Servers(brokers, registry_url, security, status_in(os.environ))
    except BadSetting as error:
        raise NotUp(str(error)) from error
