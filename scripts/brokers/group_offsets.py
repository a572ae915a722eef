"""How far the workers' group has come: its committed offsets of a topic, and the topic's ends.

aiokafka asks, for confluent_kafka 2.16.0 reads beyond the end of a committed offset's metadata.
"""

import asyncio
from dataclasses import dataclass
from time import monotonic

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError as ClientError
from aiokafka.errors import for_code
from aiokafka.protocol.commit import OffsetFetchRequest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.topics import SECTION_COMMANDS
from scripts.brokers.addresses import Servers

ANSWER_S = 15.0
RETRY_S = 0.1


class OffsetsUnknown(Exception):
    """The brokers do not tell how far the group is.

    Operator action: see that the brokers are up, and that the user may describe the group.
    """


@dataclass(frozen=True, slots=True)
class Rest:
    """Where the group and the log of commands stand, by partition.

    committed: the next offset that is not decided; a partition without one is missing.
    ends:      the offset of the next command that will be appended.
    behind:    (committed offset, end) of each partition in which a command waits.
    """

    committed: dict[int, int]
    ends: dict[int, int]
    behind: dict[int, tuple[int, int]]


def committed_offsets(where: Servers, group: str) -> dict[int, int]:
    """Return the group's committed offsets of the commands, by partition.

    Raises OffsetsUnknown. An answer counts only with the error code 0: a coordinator that moves
    or loads answers without offsets, which is not "none is committed".
    """
    return asyncio.run(_committed(where, group))


def rest(where: Servers, group: str) -> Rest:
    """Return how far the group is; the offsets first, so that "at the end" is never too early."""
    committed = committed_offsets(where, group)
    consumer = Consumer(
        {
            "bootstrap.servers": where.brokers,
            "group.id": "audit-never-commits",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            **where.kafka,
        }
    )
    try:
        topic = SECTION_COMMANDS.name
        found = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic]
        ends = {
            part: consumer.get_watermark_offsets(TopicPartition(topic, part), timeout=ANSWER_S)[1]
            for part in found.partitions
        }
        places = {part: (committed.get(part, 0), end) for part, end in ends.items()}
        behind = _with_commands(
            consumer, {part: place for part, place in places.items() if place[0] < place[1]}
        )
    except KafkaException as error:
        raise OffsetsUnknown(f"{where.brokers}: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return Rest(committed, ends, behind)


def _with_commands(
    consumer: Consumer, places: dict[int, tuple[int, int]]
) -> dict[int, tuple[int, int]]:
    """Return those places in which a record can be read.

    Others hold nothing but what was aborted, and the marks of transactions: nobody decides that,
    so no offset is ever committed behind it.
    """
    consumer.assign(
        [TopicPartition(SECTION_COMMANDS.name, part, begin) for part, (begin, _) in places.items()]
    )
    left = dict(places)
    until_s = monotonic() + ANSWER_S
    found = {}
    while left and monotonic() < until_s:
        for message in consumer.consume(100, 0.1):
            error, part = message.error(), message.partition()
            if part not in left:
                continue
            if error is None:
                found[part] = left.pop(part)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (its public name)
                del left[part]
            else:
                raise KafkaException(error)
    # Of what nobody told in time it is not said that it rests.
    return found | left


async def _committed(where: Servers, group: str) -> dict[int, int]:
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


async def _asked_once(where: Servers, group: str) -> dict[int, int]:
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
    offsets: dict[int, int] = {}
    for topic, partitions in answer.topics:
        for partition, offset, _, error_code in partitions:
            if error_code:
                raise for_code(error_code)(f"group {group}, {topic} {partition}")
            if topic == SECTION_COMMANDS.name and offset >= 0:
                offsets[partition] = offset
    return offsets
