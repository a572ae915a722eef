"""Records that retention removes, or an operator, before anybody has read them."""

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient


def lose_records(brokers: str, topic: str, partition: int, before: int) -> None:
    """Delete all records of a partition that lie before an offset."""
    admin = AdminClient({"bootstrap.servers": brokers})
    for removed in admin.delete_records([TopicPartition(topic, partition, before)]).values():
        removed.result(timeout=30)
