"""Where the broker and the registry are: configured, or those of the stack that is up."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra.paths import STACK_HOME
from infra.process.environment import BadSetting, Environment, without_password
from infra.process.kafka_security import NO_SECURITY, KafkaSecurity
from infra.process.settings import SharedSettings
from infra.stack.addresses import VARIABLE_BY_PART, configured
from schemas.topics import SECTION_STATUS, TOPICS, Topic

_NAMES = {
    "kafka": "broker",
    "registry": "schema registry",
    "redis": "Redis",
    "gateway": "gateway",
}


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


def address_of(part: str) -> str:
    """Return the address of one of our PARTS, configured or of the stack that is up; "" for none.

    A stack lends an address only to whoever has configured none of another system: brokers of one
    and a registry or Redis of another never go together.
    """
    ours = configured(os.environ)
    stack = _stack_addresses()
    lends = all(stack.get(part) == address for part, address in ours.items())
    return ours.get(part) or (stack.get(part, "") if lends else "")


def address_needed(part: str, option: str = "") -> str:
    """Return the same; raises NotUp where there is none, with what to do.

    option: what the command takes it by, instead of the variable.
    """
    if address := address_of(part):
        return address
    way = f"set {VARIABLE_BY_PART[part]}" + (f", or give {option}" if option else "")
    if _stack_addresses():
        why = "the stack that is up is not the one of the other addresses. For this one"
    else:
        why = "no stack is up. Start one with ./scripts/stack up, or"
    raise NotUp(f"no {_NAMES[part]}: {why} {way}")


def _stack_addresses() -> Mapping[str, str]:
    state = STACK_HOME / "stack.json"
    told = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}
    return {
        part: told[variable.lower()]
        for part, variable in VARIABLE_BY_PART.items()
        if told.get(variable.lower())
    }


def servers_named() -> Servers:
    """Return the addresses; a configured one wins over the stack's."""
    brokers, registry_url = address_needed("kafka"), address_needed("registry")
    try:
        security = KafkaSecurity.from_env(os.environ)
        return Servers(brokers, registry_url, security, status_in(os.environ))
    except BadSetting as error:
        raise NotUp(str(error)) from error
