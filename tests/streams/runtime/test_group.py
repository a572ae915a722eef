"""What a worker is told of its group: an answer is asked for until there is one, an error is none.

The coordinator is one of the test's; real ones answer in the tests of group answers.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupLoadInProgressError,
    KafkaError,
    NotLeaderForPartitionError,
)
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.runtime import group as module
from streams.runtime.group import claim, committed, end_offsets
from streams.runtime.process.fatal import WorkerMustEnd

ONE, OTHER = TopicPartition("in", 0), TopicPartition("in", 1)
LOADING, MOVED, NOT_ALLOWED = 14, 16, 30


class Coordinator:
    """Answers with these errors of the whole group in turn, and then with the offsets.

    deaths: how often it was given up for another one.
    """

    group_id = "seats"

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.asked = 0
        self.deaths = 0

    async def ensure_coordinator_known(self) -> None:
        pass

    def coordinator_dead(self) -> None:
        self.deaths += 1

    async def _send_req(self, _: object) -> Any:
        self.asked += 1
        if self.codes:
            return OffsetFetchResponse_v3(0, [], self.codes.pop(0))
        return OffsetFetchResponse_v3(0, [("in", [(0, 42, "owner-7", 0), (1, -1, "", 0)])], 0)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ASK_AGAIN_S", 0.0)


def ask(
    coordinator: Coordinator, timeout_s: float = 60.0
) -> Mapping[TopicPartition, OffsetAndMetadata | KafkaError]:
    return asyncio.run(committed(coordinator, [ONE, OTHER], timeout_s))


def test_a_coordinator_that_loads_or_has_moved_is_asked_again_until_it_answers() -> None:
    coordinator = Coordinator(LOADING, MOVED, LOADING)
    assert ask(coordinator) == {
        ONE: OffsetAndMetadata(42, "owner-7"),
        OTHER: OffsetAndMetadata(-1, ""),
    }
    assert (coordinator.asked, coordinator.deaths) == (4, 1)


def test_a_coordinator_that_never_answers_is_given_up_with_its_last_word() -> None:
    with pytest.raises(GroupLoadInProgressError):
        ask(Coordinator(*[LOADING] * 100_000), timeout_s=0.05)


def test_a_coordinator_that_says_nothing_is_given_up_in_time() -> None:
    class Silent(Coordinator):
        async def ensure_coordinator_known(self) -> None:
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        ask(Silent(), timeout_s=0.05)


def test_a_worker_that_may_not_ask_ends_and_says_which_right_it_needs() -> None:
    with pytest.raises(
        WorkerMustEnd, match=r"group seats: .*Grant this worker the rights"
    ) as told:
        ask(Coordinator(NOT_ALLOWED))
    assert isinstance(told.value.__cause__, GroupAuthorizationFailedError)


class Consumer:
    """Tells where partitions end, unless one that is asked for has no leader.

    asked: what was asked for together.
    """

    def __init__(self, *leaderless: TopicPartition) -> None:
        self.leaderless = set(leaderless)
        self.asked: list[int] = []

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.asked.append(len(tps))
        if self.leaderless & set(tps):
            raise NotLeaderForPartitionError
        return {tp: 100 + tp.partition for tp in tps}

    async def commit(self, _: object) -> None:
        await asyncio.Event().wait()


def test_a_partition_without_a_leader_hides_the_end_of_no_other() -> None:
    consumer = Consumer(OTHER)
    ends = asyncio.run(end_offsets(consumer, [ONE, OTHER]))
    assert ends[ONE] == 100
    assert isinstance(ends[OTHER], NotLeaderForPartitionError)
    assert consumer.asked == [2, 1, 1]


def test_ends_are_asked_for_together_where_all_have_a_leader() -> None:
    consumer = Consumer()
    assert asyncio.run(end_offsets(consumer, [ONE, OTHER])) == {ONE: 100, OTHER: 101}
    assert consumer.asked == [2]


def test_a_claim_that_the_brokers_put_off_for_ever_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(claim(Consumer(), {ONE: OffsetAndMetadata(1, "owner")}, 0.05))
