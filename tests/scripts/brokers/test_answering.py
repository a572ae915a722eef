"""Whoever does not answer is named before more is asked, and what sets its address.

`tests/scripts/program/test_every_command.py` has every command say so; brokers that refuse a login
are in `tests/integration/test_kafka_security.py`.
"""

import socket
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from support.records.registry_fake import fake_registry

from infra.stack.ports import free_ports
from scripts.brokers import answering
from scripts.brokers.addresses import NotUp
from scripts.brokers.answering import brokers_needed, redis_needed, servers


def nobody() -> str:
    [port] = free_ports(1)
    return f"127.0.0.1:{port}"


@pytest.fixture
def broker() -> Iterator[str]:
    """Give the address of a broker inside librdkafka, which lives as long as its client."""
    inside = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    [one] = inside.list_topics(timeout=60).brokers.values()
    yield f"{one.host}:{one.port}"
    del inside


@pytest.fixture
def silent() -> Iterator[str]:
    """Give an address that takes connections and says nothing, as a frozen server does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        yield f"{host}:{port}"


def test_one_broker_that_answers_is_enough(broker: str) -> None:
    brokers = f"{nobody()},{broker}"
    assert brokers_needed(brokers, "--brokers") == brokers


def test_addresses_are_named_that_refuse_with_what_they_are_set_by() -> None:
    brokers = f"{nobody()},{nobody()}"
    with pytest.raises(NotUp, match=rf"{brokers}: Connection refused.*KAFKA_BROKERS or --brokers"):
        brokers_needed(brokers, "--brokers")


@pytest.mark.parametrize("text", ["127.0.0.1:port", "127.0.0.1:99999", ":9092", "[::1"])
def test_what_is_no_address_is_named(text: str) -> None:
    with pytest.raises(NotUp, match="KAFKA_BROKERS"):
        brokers_needed(text)


def test_a_frozen_broker_is_told_from_one_that_refuses(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "ANSWER_S", 0.1)
    monkeypatch.setattr(answering, "_ONCE_S", 0.1)
    with pytest.raises(NotUp, match=rf"{silent}: .* though a connection is taken"):
        brokers_needed(silent)


def test_a_redis_is_named_without_its_password() -> None:
    with pytest.raises(NotUp, match=r"Connection refused.*REDIS_URL or --redis") as told:
        redis_needed(f"redis://us:secret@{nobody()}/0", "--redis")
    assert "secret" not in str(told.value)


def test_a_redis_that_says_nothing_is_not_waited_for(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "CONNECT_S", 0.1)
    with pytest.raises(NotUp, match=silent):
        redis_needed(f"redis://{silent}")


def test_a_registry_is_asked_of_where_a_command_needs_it(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BROKERS", broker)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", f"http://{nobody()}")
    assert servers().brokers == broker
    with pytest.raises(NotUp, match=r"no schema registry answers at .*SCHEMA_REGISTRY_URL"):
        servers(and_registry=True)
    with fake_registry(first_id=1) as registry:
        monkeypatch.setenv("SCHEMA_REGISTRY_URL", registry.url)
        assert servers(and_registry=True).registry_url == registry.url
