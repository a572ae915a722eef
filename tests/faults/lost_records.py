"""Records that retention removes, or an operator, before anybody has read them."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from support.topic_configs import set_config


@contextmanager
def deletable(brokers: str, topic: str) -> Iterator[None]:
    """Let records of a compacted topic be deleted: brokers refuse it under its own policy."""
    set_config(brokers, topic, "cleanup.policy", "compact,delete")
    try:
        yield
    finally:
        set_config(brokers, topic, "cleanup.policy", "compact")


def lose_records(brokers: str, topic: str, partition: int, before: int) -> None:
    """Delete all records of a partition that lie before an offset."""
    admin = AdminClient({"bootstrap.servers": brokers})
    for removed in admin.delete_records([TopicPartition(topic, partition, before)]).values():
        removed.result(timeout=60)
