"""Asks brokers, registry and Redis whether they answer, before a command asks more of them.

A client of theirs would time out much later, one question after another, and write lines of its
own meanwhile. Whoever is on call is told in seconds which address does not answer, and what names
it.
"""

import os
import socket
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError
from redis.retry import Retry

from infra.process.environment import BadSetting, without_password
from infra.process.kafka_security import KafkaSecurity
from infra.stack.addresses import VARIABLE_BY_PART
from scripts.brokers.addresses import NotUp, Servers, address_needed, servers_named
from serdes.registry.client import Registry, RegistryRefusedError, RegistryUnavailableError
from state.kafka.refusals import Refusals

ANSWER_S: Final = 10.0
CONNECT_S: Final = 3.0
_ONCE_S: Final = 1.0
_PORT: Final = 9092

_LOGIN: Final = "Look at KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_* and KAFKA_SSL_*"


def servers(*, and_registry: bool = False) -> Servers:
    """Return the addresses that `servers_named` does; raises NotUp where no broker answers.

    and_registry: must answer too. For much that is looked at it need not be up.
    """
    where = servers_named()
    _ask_brokers(where.brokers, where.kafka)
    if and_registry:
        _ask_registry(where.registry_url)
    return where


def brokers_needed(given: str | None = None, option: str = "") -> str:
    """Return `host:port,...` of brokers that answer; raises NotUp.

    given: what the command was given by its option; else as `address_needed`.
    """
    brokers = given or address_needed("kafka", option)
    try:
        security = KafkaSecurity.from_env(os.environ)
    except BadSetting as error:
        raise NotUp(str(error)) from error
    _ask_brokers(brokers, security.librdkafka(), option)
    return brokers


def redis_needed(given: str | None = None, option: str = "") -> str:
    """Return the address of a Redis that answers; raises NotUp. Arguments as `brokers_needed`."""
    url = given or address_needed("redis", option)
    try:
        with Redis.from_url(
            url,
            socket_timeout=CONNECT_S,
            socket_connect_timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 1),
        ) as client:
            client.ping()
    except NoPermissionError:
        pass  # It answers; what this user may do shows with what is asked for.
    except (RedisError, OSError, ValueError) as error:
        raise _no_answer("redis", "Redis", without_password(url), error, option) from error
    return url


def _ask_registry(url: str) -> None:
    try:
        Registry(url, ANSWER_S).call("GET", "subjects")
    except (RegistryRefusedError, RegistryUnavailableError) as error:
        raise _no_answer("registry", "schema registry", without_password(url), error) from error


def _ask_brokers(brokers: str, options: Mapping[str, Any], option: str = "") -> None:
    if (trouble := _connection_to_one(brokers)) is not None:
        raise _no_answer("kafka", "broker", brokers, trouble, option) from trouble
    refusals = Refusals()
    try:
        client: dict[str, Any] = {"bootstrap.servers": brokers, "log_level": 0, **options}
        client |= {"error_cb": refusals}
        admin = AdminClient(client)
        until_s = monotonic() + ANSWER_S
        while True:
            try:
                admin.list_topics(timeout=_ONCE_S)
            except KafkaException as error:
                admin.poll(0)
                if refusals.last:
                    raise NotUp(f"{brokers} let nobody in: {refusals.last}. {_LOGIN}") from error
                if monotonic() > until_s:
                    raise
            else:
                return
    except KafkaException as error:
        why = f"{error.args[0].str()} in {ANSWER_S:.0f} s, though a connection is taken"
        raise _no_answer("kafka", "broker", brokers, why, option) from error


def _connection_to_one(brokers: str) -> Exception | None:
    """Return the last trouble where no broker takes a connection: a client only times out then."""
    trouble: Exception | None = None
    for broker in brokers.split(","):
        try:
            place = urlsplit(f"//{broker.strip().rpartition('://')[2]}")
            address = place.hostname or "", place.port or _PORT
            socket.create_connection(address, CONNECT_S).close()
        except (OSError, ValueError) as error:
            trouble = error
        else:
            return None
    return trouble


def _no_answer(part: str, name: str, address: str, why: object, option: str = "") -> NotUp:
    named = VARIABLE_BY_PART[part] + (f" or {option.partition(',')[0]}" if option else "")
    why = (isinstance(why, OSError) and why.strerror) or str(why) or repr(why)
    return NotUp(
        f"no {name} answers at {address}: {why.rstrip('.')}. Is it up, and is {named} the right"
        " address? The local stack: ./scripts/stack status, then ./scripts/stack up"
    )
