"""Clients whose brokers name no broker."""

import asyncio
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.metadata import MetadataResponse_v1

from infra.process import no_brokers
from infra.process.kafka_security import KafkaSecurity


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin with the library as it is, and leave it so."""
    monkeypatch.setattr(AIOKafkaClient, "get_random_node", no_brokers._some_node)


def told(*brokers: tuple[int, str, int, str | None]) -> AIOKafkaClient:
    """Return a client that was told of these brokers; call it in a loop."""
    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
    client.cluster.update_metadata(MetadataResponse_v1(list(brokers), -1, []))
    return client


async def lookup(client: AIOKafkaClient) -> Any:
    return await client.coordinator_lookup(CoordinationType.TRANSACTION, "worker-a")


def test_a_cluster_that_names_no_broker_is_trouble_that_passes() -> None:
    KafkaSecurity().aiokafka()

    async def ask() -> None:
        with pytest.raises(NodeNotReadyError) as raised:
            await lookup(told())
        assert raised.value.retriable

    asyncio.run(ask())


def test_a_broker_that_is_named_is_asked() -> None:
    KafkaSecurity().aiokafka()

    async def ask() -> Any:
        return told((7, "127.0.0.1", 1, None)).get_random_node()

    assert asyncio.run(ask()) == 7
