"""F17, F49: a worker refuses to run over topics on which the promise cannot hold."""

from collections.abc import Callable

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
)
from integration.workers import ENDED_ITSELF, Fleet

pytestmark = pytest.mark.kafka


def alter(fleet: Fleet, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": fleet.brokers})
    for altered in admin.incremental_alter_configs([resource]).values():
        altered.result(timeout=60)


def refusal(fleet: Fleet) -> str:
    worker = fleet.worker("refuses").start()
    assert worker.ended() == ENDED_ITSELF
    return worker.output()


def test_f17_unequal_partitions_are_refused(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet(partitions=2)
    admin = AdminClient({"bootstrap.servers": fleet.brokers})
    for added in admin.create_partitions([NewPartitions(fleet.topics.words, 3)]).values():
        added.result(timeout=60)
    assert "has 2 partitions" in refusal(fleet)


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_f49_a_changelog_that_deletes_is_refused(
    new_fleet: Callable[..., Fleet], policy: str
) -> None:
    fleet = new_fleet(partitions=1)
    alter(fleet, fleet.topics.changelog, "cleanup.policy", policy)
    assert f"cleanup.policy={policy}" in refusal(fleet)


def test_a_missing_topic_is_named(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet(partitions=1)
    fleet.prefix += "other-"
    output = refusal(fleet)
    assert f"topic {fleet.prefix}" in output
    assert "Create the topics first" in output


def test_brokers_that_do_not_answer_are_named(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet(partitions=1)
    fleet.brokers = "127.0.0.1:1"
    worker = fleet.worker("alone").start()
    assert worker.ended() == ENDED_ITSELF
    assert "127.0.0.1:1" in worker.output()
