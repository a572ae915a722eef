"""Which partitions get a tick, and when; the producer is one of the test's."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from support.redis.nodes import servers
from support.workers.echo import Echo
from support.workers.parts import Consumer, partition_in_memory, parts_over

from infra.stack.redis_server import RedisServer
from state.redis.lease import PartitionLeases
from streams.folding.log_time import JUMP_MS
from streams.route import Route, Tick
from streams.runtime.process.clock import ClockWatch, OwnClock
from streams.runtime.process.observer import Observer
from streams.runtime.ticker import Ticker
from streams.runtime.transactions.input_partition import InputPartition
from streams.settings import Settings

NOW_S = 1_700_000_000.0
NOW_MS = int(NOW_S * 1000)


class Cluster:
    def leader_for_partition(self, _: object) -> int:
        return 1

    def brokers(self) -> list[Any]:
        return []


class TickedProducer:
    """Remembers the ticks that were sent: (partition, time in ms).

    refuses: partitions whose ticks are not taken.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []
        self.refuses: set[int] = set()
        self.client = self
        self.cluster = Cluster()

    async def send(self, _: str, value: bytes, *, key: bytes, partition: int) -> Any:
        assert key == b"tick"
        if partition in self.refuses:
            raise KafkaTimeoutError
        self.sent.append((partition, int(value)))
        return asyncio.get_running_loop().create_future()

    def told(self) -> list[tuple[int, int]]:
        sent, self.sent = self.sent, []
        return sent


class Bench:
    """A ticker over two partitions with log time, neither of which has anything due."""

    def __init__(
        self,
        directory: Path,
        turn: Callable[[int], Awaitable[bool | None]] | None = None,
    ) -> None:
        self.observer = Observer(30)
        self.monotonic_s = 1_000.0
        self.producer = TickedProducer()
        echo = Echo().route()
        self.route = Route(
            echo.role, echo.source, echo.handler, echo.to, echo.changelog, echo.dead_letters,
            tick=Tick(lambda at_ms: (b"tick", b"%d" % at_ms)), turn=turn,
        )  # fmt: skip
        parts = parts_over(directory, self.route, Consumer(), Settings())
        self.partitions = [partition_in_memory(parts, number) for number in range(2)]
        for partition in self.partitions:
            partition.log_time_ms = NOW_MS
        own = OwnClock(wall=lambda: NOW_S, monotonic=lambda: self.monotonic_s)
        self.ticker = Ticker(
            {}, [self.route], lambda: self.partitions, 1_000, self.observer, ClockWatch(own)
        )

    def tick(self) -> list[tuple[int, int]]:
        asyncio.run(self.ticker._tick(self.producer))
        return self.producer.told()

    def is_due_at(self, partition: InputPartition, due_ms: int) -> None:
        partition.state.put(b"hold", b"held", due_ms)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_quiet_partition_gets_a_tick_now_and_then_so_that_its_time_never_leaps(
    bench: Bench,
) -> None:
    assert bench.tick() == [(0, NOW_MS), (1, NOW_MS)]
    assert bench.tick() == []
    bench.monotonic_s += JUMP_MS / 3_000
    assert bench.tick() == [(0, NOW_MS), (1, NOW_MS)]


def test_a_partition_gets_every_tick_while_something_in_it_is_due(bench: Bench) -> None:
    bench.tick()
    bench.is_due_at(bench.partitions[1], NOW_MS)
    assert bench.tick() == bench.tick() == [(1, NOW_MS)]


def test_what_is_due_in_future_waits_for_its_time(bench: Bench) -> None:
    bench.tick()
    bench.is_due_at(bench.partitions[1], NOW_MS + 1)
    assert bench.tick() == []
    # By the log's time it is due, though our own clock be late.
    bench.partitions[1].log_time_ms = NOW_MS + 1
    assert bench.tick() == [(1, NOW_MS)]


def test_a_partition_whose_time_stands_still_gets_every_tick(bench: Bench) -> None:
    bench.tick()
    bench.partitions[0].behind_ms = JUMP_MS + 1
    assert bench.tick() == bench.tick() == [(0, NOW_MS)]


def test_a_partition_that_never_had_a_record_gets_none(bench: Bench) -> None:
    bench.partitions[0].log_time_ms = 0
    assert bench.tick() == [(1, NOW_MS)]


def test_a_tick_that_is_not_taken_holds_up_no_other_partition(bench: Bench) -> None:
    bench.producer.refuses = {0}
    assert bench.tick() == [(1, NOW_MS)]


def test_a_partition_that_came_anew_gets_its_tick_at_once(bench: Bench) -> None:
    bench.tick()
    first, second = bench.partitions
    bench.partitions = [second]
    bench.tick()
    bench.partitions = [first, second]
    assert bench.tick() == [(0, NOW_MS)]


def test_without_a_route_that_ticks_nobody_is_asked_for_the_time(tmp_path: Path) -> None:
    silent = Ticker(
        {"bootstrap_servers": "127.0.0.1:1"},
        [Echo().route()],
        list,
        1_000,
        Observer(30),
        ClockWatch(OwnClock()),
    )

    async def life() -> None:
        await silent.start()
        await silent.run()
        await silent.stop()

    asyncio.run(life())


def test_what_is_due_where_another_process_looks_at_it_gets_no_tick_in_that_round(
    tmp_path: Path,
) -> None:
    turns: dict[int, bool | None] = {0: False, 1: True}
    asked: list[int] = []

    async def turn(partition: int) -> bool | None:
        asked.append(partition)
        return turns[partition]

    bench = Bench(tmp_path, turn)
    # Where nothing is due nobody is asked: time moves by anybody's tick.
    assert bench.tick() == [(0, NOW_MS), (1, NOW_MS)]
    assert asked == []
    for partition in bench.partitions:
        bench.is_due_at(partition, NOW_MS)
    assert bench.tick() == [(1, NOW_MS)]
    # Where nobody tells whose turn it is, everybody goes on.
    turns[0] = None
    assert bench.tick() == [(0, NOW_MS), (1, NOW_MS)]
    assert asked == [0, 1, 0, 1]
    page = bench.observer.exposition().decode()
    for answer, count in (("busy", 1.0), ("held", 2.0), ("unknown", 1.0)):
        row = f'seatstream_turns_total{{answer="{answer}",role="{bench.route.role}"}} {count}'
        assert row in page


@pytest.mark.redis
def test_of_two_who_own_a_partition_one_looks_at_what_is_due_and_without_redis_both_do(
    tmp_path: Path,
) -> None:
    async def go(server: RedisServer) -> None:
        both = [PartitionLeases([server.url], "slots", 60_000) for _ in range(2)]
        benches = [Bench(tmp_path / str(at), one.turn) for at, one in enumerate(both)]
        for bench in benches:
            bench.is_due_at(bench.partitions[0], NOW_MS)
            await bench.ticker._tick(bench.producer)
        # What is due nowhere moves by anybody's tick.
        assert [bench.producer.told() for bench in benches] == [
            [(0, NOW_MS), (1, NOW_MS)],
            [(1, NOW_MS)],
        ]
        server.kill()
        for bench in benches:
            await bench.ticker._tick(bench.producer)
            assert bench.producer.told() == [(0, NOW_MS)]
        await asyncio.gather(*(one.close() for one in both))

    with servers(tmp_path / "redis", 1) as [server]:
        asyncio.run(go(server))
