"""A1: the headers of a message are read safely, however often and whatever is called next."""

import asyncio
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition
from faults.foreign_producer import append, batch, record

from state.kafka.message_headers import headers_of

pytestmark = pytest.mark.kafka


def test_a1_names_that_are_not_utf8_are_no_error_of_whatever_comes_next(
    kafka_brokers: str, new_topic: Callable[..., str]
) -> None:
    topic = new_topic()
    many = [
        record(b"k", b"%d" % number, [(b"caf\xe9-" if number % 2 else b"plain", b"v")], at=number)
        for number in range(400)
    ]
    asyncio.run(append(kafka_brokers, topic, 0, batch(many)))
    consumer = Consumer({"bootstrap.servers": kafka_brokers, "group.id": topic})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        messages = [message for _ in many if (message := consumer.poll(30)) is not None]
        assert [message.error() for message in messages] == [None] * 400
        # Often enough for the interpreter to take its short cuts.
        for number, message in enumerate(messages):
            headers = headers_of(message)
            assert list(headers) == ([] if number % 2 else [("plain", b"v")])
            assert message.value() == b"%d" % number
    finally:
        consumer.close()
