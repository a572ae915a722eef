"""How far the workers' group has come: its committed offsets of topics, and the topics' ends.

aiokafka asks, for confluent_kafka 2.16.0 reads beyond the end of a committed offset's metadata.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError as ClientError
from aiokafka.errors import for_code
from aiokafka.protocol.commit import OffsetFetchRequest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.topics import SECTION_COMMANDS, Topic
from scripts.brokers.addresses import Servers
from streams.folding.ticks import is_tick_key
from streams.working.answers import TICK_KEY

COMMANDS = SECTION_COMMANDS.name
ANSWER_S = 15.0
RETRY_S = 0.1


class OffsetsUnknown(Exception):
    """The brokers do not tell how far the group is.

    Operator action: see that the brokers are up, and that the user may describe the group.
    """


Place = tuple[str, int]  # topic, partition


@dataclass(frozen=True, slots=True)
class Rest:
    """Where the group and the logs of commands stand, by topic and partition.

    committed: the next offset that is not decided; a partition without one is missing.
    ends:      the offset of the next record that will be appended.
    behind:    (committed offset, end) of each partition in which more than a tick waits.
    """

    committed: dict[Place, int]
    ends: dict[Place, int]
    behind: dict[Place, tuple[int, int]]


def committed_offsets(where: Servers, group: str) -> dict[int, int]:
    """Return the group's committed offsets of the commands, by partition.

    Raises OffsetsUnknown. An answer counts only with the error code 0: a coordinator that moves
    or loads answers without offsets, which is not "none is committed".
    """
    committed = asyncio.run(_committed(where, group))
    return {part: offset for (topic, part), offset in committed.items() if topic == COMMANDS}


def rest(where: Servers, group: str, topics: Iterable[Topic] = (SECTION_COMMANDS,)) -> Rest:
    """Return how far the group is; the offsets first, so that "at the end" is never too early."""
    committed = asyncio.run(_committed(where, group))
    with _consumer(where) as consumer:
        ends = {place: end for topic in topics for place, end in _ends(consumer, topic).items()}
        places = {place: (committed.get(place, 0), end) for place, end in ends.items()}
        behind = _with_commands(
            consumer, {place: span for place, span in places.items() if span[0] < span[1]}
        )
    return Rest({place: committed[place] for place in committed.keys() & ends}, ends, behind)


def ends_of(where: Servers, topic: Topic) -> dict[Place, int]:
    """Return where each partition of a topic ends; raises OffsetsUnknown."""
    with _consumer(where) as consumer:
        return _ends(consumer, topic)


@contextmanager
def _consumer(where: Servers) -> Iterator[Consumer]:
    """Give a consumer that commits nothing; raises OffsetsUnknown for what it is not told."""
    consumer = Consumer(
        {
            "bootstrap.servers": where.brokers,
            "group.id": "audit-never-commits",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
            **where.kafka,
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        raise OffsetsUnknown(f"{where.brokers}: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _ends(consumer: Consumer, topic: Topic) -> dict[Place, int]:
    found = consumer.list_topics(topic.name, timeout=ANSWER_S).topics[topic.name]
    if found.error is not None:
        # It has no partitions then, and no partition lags.
        raise KafkaException(found.error)
    return {
        (topic.name, part): consumer.get_watermark_offsets(
            TopicPartition(topic.name, part), timeout=ANSWER_S
        )[1]
        for part in found.partitions
    }


def _with_commands(
    consumer: Consumer, places: dict[Place, tuple[int, int]]
) -> dict[Place, tuple[int, int]]:
    """Return those places in which more than ticks can be read.

    Others hold nothing but what was aborted, and the marks of transactions: nobody decides that,
    so no offset is ever committed behind it. Ticks never end, and nobody waits for one.
    """
    consumer.assign([TopicPartition(*place, begin) for place, (begin, _) in places.items()])
    left = dict(places)
    until_s = monotonic() + ANSWER_S
    found = {}
    while left and monotonic() < until_s:
        for message in consumer.consume(100, 0.1):
            error, place = message.error(), (message.topic(), message.partition())
            if place not in left:
                continue
            if error is None:
                if not (is_tick_key(message.key()) or message.key() == TICK_KEY):
                    found[place] = left.pop(place)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (its public name)
                del left[place]
            else:
                raise KafkaException(error)
    # Of what nobody told in time it is not said that it rests.
    return found | left


async def _committed(where: Servers, group: str) -> dict[Place, int]:
    trouble: Exception | None = None
    try:
        async with asyncio.timeout(ANSWER_S):
            while True:
                try:
                    return await _asked_once(where, group)
                except (ClientError, OSError) as error:
                    trouble = error
                await asyncio.sleep(RETRY_S)
    except TimeoutError:
        why = f"no answer in {ANSWER_S:.0f} s" if trouble is None else repr(trouble)
        raise OffsetsUnknown(f"committed offsets of the group {group}: {why}") from trouble


async def _asked_once(where: Servers, group: str) -> dict[Place, int]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=where.brokers.split(","), **where.security.aiokafka()
    )
    try:
        await admin.start()
        coordinator = await admin.find_coordinator(group)
        answer = await admin._send_request(  # noqa: SLF001 - the public method drops the error
            OffsetFetchRequest(group, None), coordinator
        )
    finally:
        await admin.close()
    if answer.error_code:
        raise for_code(answer.error_code)(f"group {group}")
    offsets: dict[Place, int] = {}
    for topic, partitions in answer.topics:
        for partition, offset, _, error_code in partitions:
            if error_code:
                raise for_code(error_code)(f"group {group}, {topic} {partition}")
            if offset >= 0:
                offsets[topic, partition] = offset
    return offsets
