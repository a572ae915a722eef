"""How far the workers' group has come: its committed offsets of a topic, and the topic's ends.

aiokafka asks, for confluent_kafka 2.16.0 reads beyond the end of a committed offset's metadata.
"""

import asyncio
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.topics import SECTION_COMMANDS
from scripts.addresses import Servers

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
    """

    committed: dict[int, int]
    ends: dict[int, int]

    @property
    def behind(self) -> dict[int, tuple[int, int]]:
        """Return (committed offset, end) of each partition that is not decided to its end."""
        places = {part: (self.committed.get(part, 0), end) for part, end in self.ends.items()}
        return {part: place for part, place in places.items() if place[0] < place[1]}


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
        {"bootstrap.servers": where.brokers, "group.id": "audit-never-commits", **where.kafka}
    )
    try:
        topic = SECTION_COMMANDS.name
        found = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic]
        ends = {
            part: consumer.get_watermark_offsets(TopicPartition(topic, part), timeout=ANSWER_S)[1]
            for part in found.partitions
        }
    except KafkaException as error:
        raise OffsetsUnknown(f"{where.brokers}: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return Rest(committed, ends)


async def _committed(where: Servers, group: str) -> dict[int, int]:
    trouble: Exception | None = None
    try:
        async with asyncio.timeout(ANSWER_S):
            while True:
                try:
                    return await _asked_once(where, group)
                except (KafkaError, OSError) as error:
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
