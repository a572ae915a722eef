"""Whether a log is still the one that was read, after its brokers had been away.

A broker that was restored from a backup and written to again has the same topic, under the same
id, with other records where some were read already: neither the end nor the id tells. So when a
connection was lost the last record that was read of each partition is asked for once more, and
nothing of a partition is taken in before it was found to be what it was.

What cannot be asked for any more, because it was compacted away or is too old, counts as another:
to read anew is always right.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from state.kafka.freshness import LogShortened

CHECKED_AT_ONCE: Final = 100


class Timeline:
    """What was read last of each partition, and which partitions are in doubt.

    topic:   its name.
    connect: returns a consumer for the question.
    """

    def __init__(self, topic: str, connect: Callable[[], Consumer]) -> None:
        self._topic = topic
        self._connect = connect
        self._last: dict[int, Message] = {}
        self._doubtful: set[int] = set()
        self._held: list[Message] = []
        self._checker: Consumer | None = None

    @property
    def is_in_doubt(self) -> bool:
        return bool(self._doubtful)

    def doubt(self) -> None:
        """Note that a connection was lost: nothing is sure before it was asked for."""
        self.close()
        self._doubtful = set(self._last)
        if self._doubtful:
            self._checker = self._connect()
            self._checker.assign(
                [
                    TopicPartition(self._topic, number, _offset_of(last))
                    for number, last in self._last.items()
                ]
            )

    def sure(self, messages: Sequence[Message]) -> list[Message]:
        """Return those of the messages, and of the ones held back, that may be taken in.

        Raises LogShortened where a log is another than the one that was read.
        """
        if self._doubtful or self._held:
            self._check()
            waiting = [*self._held, *messages]
            self._held = [one for one in waiting if one.partition() in self._doubtful]
            messages = [one for one in waiting if one.partition() not in self._doubtful]
        for message in messages:
            if message.error() is None:
                self._last[_partition_of(message)] = message
        return list(messages)

    def close(self) -> None:
        checker, self._checker = self._checker, None
        if checker is not None:
            checker.close()

    def _check(self) -> None:
        if self._checker is None:
            return
        for found in self._checker.consume(CHECKED_AT_ONCE, 0):
            self._judge(found)
        if not self._doubtful:
            self.close()

    def _judge(self, found: Message) -> None:
        number = found.partition()
        if number is None or number not in self._doubtful:
            return
        error = found.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
            # Asked for again by the client itself.
            return
        last = self._last[number]
        if error is not None or _identity_of(found) != _identity_of(last):
            raise LogShortened(
                f"partition {number} has something else at offset {last.offset()} than was read "
                "there: its log was restored, or the record is gone"
            )
        self._doubtful.discard(number)


def _partition_of(message: Message) -> int:
    number = message.partition()
    assert number is not None
    return number


def _offset_of(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return offset


def _identity_of(message: Message) -> tuple[Any, ...]:
    return message.offset(), message.timestamp(), message.key(), message.value()
