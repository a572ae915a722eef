"""What partitions keep, and how far behind they are, is told as far as anybody can tell."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import NotLeaderForPartitionError
from aiokafka.structs import TopicPartition

from state.stores.rocksdb import CorruptStore
from streams.runtime.process.observer import Observer
from streams.runtime.process.transaction_watch import TransactionWatch
from streams.runtime.stock_taking import StockTaking, kept_in

PLACES = [TopicPartition("p", number) for number in range(3)]


class Consumer:
    """Stands for aiokafka's: it knows ends, and has read to some offset of each partition."""

    def __init__(self, ends: dict[TopicPartition, int], read: dict[TopicPartition, int]) -> None:
        self._ends = ends
        states = {
            tp: SimpleNamespace(has_valid_position=True, position=at) for tp, at in read.items()
        }
        assignment = SimpleNamespace(state_value=states.get)
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        if any(tp not in self._ends for tp in tps):
            raise NotLeaderForPartitionError
        return {tp: self._ends[tp] for tp in tps}


def partition(tp: TopicPartition, committed: int, taken: int) -> Any:
    noted: list[int] = []
    return SimpleNamespace(
        topic=tp.topic,
        number=tp.partition,
        place=f"{tp.topic}-{tp.partition}",
        committed_offset=committed,
        next_offset=taken,
        log_time_ms=1_000 + tp.partition,
        note_read_to=noted.append,
        noted=noted,
    )


def test_lag_is_told_of_each_partition_whose_end_is_known() -> None:
    # The first has uncommitted records, the second has passed a marker, the third has no leader.
    places = [(5, 8), (7, 7), (1, 1)]
    partitions = [partition(tp, *at) for tp, at in zip(PLACES, places, strict=True)]
    consumer = Consumer(
        {PLACES[0]: 20, PLACES[1]: 30}, {PLACES[0]: 9, PLACES[1]: 11, PLACES[2]: 1}
    )

    async def call(function: Callable[..., Any], *args: Any) -> Any:
        return await function(*args)

    faust: Any = SimpleNamespace(_thread=SimpleNamespace(call_thread=call, _consumer=consumer))
    observer = Observer(60)
    watch = TransactionWatch({}, {}, observer)
    stock = StockTaking({}, observer, watch, lambda: None, lambda: faust)
    lags = asyncio.run(stock._measured(partitions))
    assert lags == {"p-0": (5, 20, 1_000), "p-1": (11, 30, 1_001)}
    assert [one.noted for one in partitions] == [[5], [11], [1]]


def test_what_partitions_keep_is_counted_and_told_where_nobody_can_tell() -> None:
    def count(state: Any) -> dict[str, int]:
        if state is None:
            raise CorruptStore("told so")
        return {"DONE": state, "PENDING": 0}

    def running_one(topic: str, number: int, state: Any) -> Any:
        return SimpleNamespace(topic=topic, number=number, state=state)

    def route(counts: Any) -> Any:
        return SimpleNamespace(role="payments", counts=counts)

    routes = {"p": route(count), "s": route(None)}
    running = [running_one("p", 0, 2), running_one("p", 1, None), running_one("s", 0, 9)]
    # The last of these is set aside.
    assigned = [("p", 0), ("p", 1), ("s", 0), ("p", 2)]
    assert kept_in(routes, assigned, running) == {
        "p-0": {("payments", "DONE"): 2, ("payments", "PENDING"): 0},
        "p-1": None,
        "p-2": None,
    }
