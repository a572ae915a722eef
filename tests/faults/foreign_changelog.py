"""Records in a changelog that are none of its partition's, though they are well formed.

Of keys that the partition has itself only what the partition signs is copied, which every
transaction writes anew: over another key of its own, compaction would remove what is right.
"""

from confluent_kafka import Consumer, Message, Producer, TopicPartition

_READ_S = 3.0


def copy_between_partitions(brokers: str, topic: str, origin: int, target: int, count: int) -> int:
    """Append the last records of one partition to another; return how many those are."""
    producer = Producer({"bootstrap.servers": brokers, "message.timeout.ms": 20_000})
    copied = last_records(brokers, topic, origin, count)
    for record in copied:
        # A deletion says in its headers whose it is.
        producer.produce(topic, record.value(), record.key(), target, headers=record.headers())
    producer.produce(topic, b"garbage", b"nobody's key", target)
    producer.flush(30)
    return len(copied)


def last_records(brokers: str, topic: str, partition: int, count: int) -> list[Message]:
    """Return up to so many records, also of transactions that were aborted or are open."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "copies-and-never-commits",
            "isolation.level": "read_uncommitted",
        }
    )
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=60)
        # Markers of transactions take offsets too.
        consumer.assign([TopicPartition(topic, partition, max(low, high - 2 * count))])
        return [one for one in consumer.consume(count, _READ_S) if one.error() is None]
    finally:
        consumer.close()
