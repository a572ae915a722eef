"""The consumer group of a worker: reads committed offsets, and claims partitions by commits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiokafka.consumer.consumer as aiokafka_consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, UnknownTopicOrPartitionError
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from state.kafka.group_offsets import MOVED, NOTHING_COMMITTED, by_topic, committed_in
from streams.runtime.process.fatal import WorkerMustEnd, end_process

_ASK_AGAIN_S = 0.2
_ENDS_S = 2.0


class NotClaimed(KafkaError):
    """The broker refuses the committed offset of one partition.

    Operator action: look at the brokers; the partition is tried again, and the others go on.
    """


class TruthfulCoordinator(GroupCoordinator):
    """aiokafka's coordinator of a group, without three of its habits.

    - It reads an error about the whole group as "nothing is committed"; this one raises the error.
    - It repeats the commit of all partitions until the last is taken; this one raises NotClaimed.
    - Outside of the group it waits in silence until somebody fetches, and raises the reason there;
      this one ends the process with the reason.
    """

    async def _coordination_routine(self) -> None:
        try:
            await super()._coordination_routine()
        except KafkaError as error:
            self._end_outside(error)

    def _push_error_to_user(self, exc: KafkaError) -> Any:
        if not self._closing.done():
            self._end_outside(exc)
        return super()._push_error_to_user(exc)

    def _end_outside(self, error: KafkaError) -> None:
        action = (
            "Grant this worker the rights in SECURITY.md"
            if isinstance(error, GroupAuthorizationFailedError)
            else "Look at the brokers, and for another worker with this SEATSTREAM_INSTANCE"
        )
        end_process(f"group {self.group_id} does not have this worker: {error!r}. {action}", error)

    async def _do_commit_offsets(
        self, assignment: Any, offsets: Mapping[TopicPartition, OffsetAndMetadata]
    ) -> None:
        try:
            await super()._do_commit_offsets(assignment, offsets)
        except UnknownTopicOrPartitionError as error:
            message = f"of {len(offsets)} offsets one is not taken: {error!r}"
            raise NotClaimed(message) from error

    async def _do_fetch_commit_offsets(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        told = await committed_once(self, partitions)
        # Before we seek, the consumer asks where to begin, and waits for all partitions: one
        # without an answer is left out, so that it holds up no other. Nothing is fetched from it
        # before we seek.
        return {
            place: at
            for place, at in told.items()
            if isinstance(at, OffsetAndMetadata) and at.offset != NOTHING_COMMITTED
        }


def read_truthful_offsets() -> None:
    """Make every consumer of this process use `TruthfulCoordinator`.

    The consumer of aiokafka looks the class up in its own module.
    """
    aiokafka_consumer.GroupCoordinator = TruthfulCoordinator


async def committed_once(
    coordinator: Any, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata | KafkaError]:
    """Ask the coordinator once; raise the error that concerns the whole group."""
    request = OffsetFetchRequest(coordinator.group_id, by_topic(partitions))
    answer = await coordinator._send_req(request)
    try:
        return committed_in(answer, partitions)
    except MOVED:
        coordinator.coordinator_dead()
        raise


async def committed(
    coordinator: Any, partitions: Sequence[TopicPartition], timeout_s: float
) -> dict[TopicPartition, OffsetAndMetadata | KafkaError]:
    """Ask until the coordinator answers for the group; errors of single partitions are returned.

    Raises WorkerMustEnd where this worker has no right to ask, and the last KafkaError where no
    answer comes within `timeout_s` seconds.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    while True:
        try:
            async with asyncio.timeout_at(until):
                await coordinator.ensure_coordinator_known()
                return await committed_once(coordinator, partitions)
        except GroupAuthorizationFailedError as error:
            message = (
                f"group {coordinator.group_id}: {error}. Grant this worker the rights in "
                "SECURITY.md"
            )
            raise WorkerMustEnd(message) from error
        except KafkaError as error:
            if not error.retriable or loop.time() > until:
                raise
        await asyncio.sleep(_ASK_AGAIN_S)


async def claim(
    consumer: Any, commits: Mapping[TopicPartition, OffsetAndMetadata], timeout_s: float
) -> None:
    """Commit offsets; raise TimeoutError where the brokers do not take them within `timeout_s`.

    aiokafka itself would retry for ever.
    """
    async with asyncio.timeout(timeout_s):
        await consumer.commit(commits)


async def end_offsets(
    consumer: Any, tps: Sequence[TopicPartition]
) -> dict[TopicPartition, int | KafkaError | OSError]:
    """Return where each partition ends, or why its leader does not say so in time."""
    try:
        async with asyncio.timeout(_ENDS_S):
            return dict(await consumer.end_offsets(tps))
    except (KafkaError, OSError) as error:
        if len(tps) == 1:
            return {tps[0]: error}
    # Asked one by one, the partitions show which of them the error concerns.
    told = await asyncio.gather(*(end_offsets(consumer, [tp]) for tp in tps))
    return {tp: end for one in told for tp, end in one.items()}


class ConsumerGroup:
    """Faust's consumer, as a generation uses it.

    consumer:  returns the present one; Faust replaces it when it starts anew.
    timeout_s: seconds for which the coordinator may be unreachable.
    """

    def __init__(self, consumer: Any, timeout_s: float) -> None:
        self._consumer = consumer
        self._timeout_s = timeout_s

    async def committed(
        self, tps: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata | KafkaError]:
        """Return offset and metadata, or what is wrong, for each partition."""
        thread = self._consumer()._thread
        coordinator = thread._consumer._coordinator
        answer: Mapping[TopicPartition, OffsetAndMetadata | KafkaError] = await thread.call_thread(
            committed, coordinator, list(tps), self._timeout_s
        )
        return answer

    async def claim(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Commit offsets with the name of their owner, under this member's generation."""
        thread = self._consumer()._thread
        commits = {tp: OffsetAndMetadata(offset, owner) for tp, (offset, owner) in offsets.items()}
        await thread.call_thread(claim, thread._consumer, commits, self._timeout_s)
