"""A topic that somebody deletes, with all that it holds, while everybody uses it."""

from confluent_kafka.admin import AdminClient


def delete_topic(brokers: str, topic: str) -> None:
    """Delete a topic; who creates it again makes another one of the same name."""
    admin = AdminClient({"bootstrap.servers": brokers})
    for deleted in admin.delete_topics([topic], operation_timeout=60).values():
        deleted.result(timeout=60)
