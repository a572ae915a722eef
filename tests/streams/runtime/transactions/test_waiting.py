"""Partitions that wait keep their records, and go on once they can."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from support.pods.conditions import until
from support.workers.echo import Echo, echoed
from support.workers.parts import Consumer, partition_in_memory, parts_over

from serdes.registry.known_ids import SchemaIdsError
from streams.batch import UnknownSchema
from streams.runtime.transactions import waiting as module
from streams.runtime.transactions.waiting import Waiting
from streams.settings import Settings


class Bench:
    """One partition with two fetched records; a registry that answers when it may.

    wrong: raised instead of an answer. ended: why the process would have ended.
    """

    def __init__(self, directory: Path) -> None:
        self.answers = asyncio.Event()
        self.wrong: Exception | None = None
        self.ended: list[str] = []
        self.consumer = Consumer()
        self.gone_on = asyncio.Event()
        loop = asyncio.get_running_loop()

        def ask(_schema_id: int) -> bool:
            asyncio.run_coroutine_threadsafe(self.answers.wait(), loop).result(60)
            if self.wrong is not None:
                raise self.wrong
            return True

        parts = parts_over(directory, Echo().route(), self.consumer, Settings(), ask)
        self.observer = parts.observer
        self.partition = partition_in_memory(parts, 0)
        self.partition.feed(echoed(0, b"a", b"b"), 0)
        self.waiting = Waiting(parts, self.gone_on.set)
        self.waiting.join(self.partition)

    def wait_for_schema(self) -> None:
        records = self.partition.take(2)
        self.waiting.wait_for_schema(self.partition, records, UnknownSchema(7))


def on_a_bench(directory: Path, talk: Callable[[Bench], Awaitable[None]]) -> None:
    async def conversation() -> None:
        async with asyncio.timeout(60):
            bench = Bench(directory)
            await talk(bench)

    asyncio.run(conversation())


def test_who_waits_for_a_schema_keeps_the_records_and_goes_on_with_the_answer(
    tmp_path: Path,
) -> None:
    async def talk(bench: Bench) -> None:
        bench.wait_for_schema()
        assert bench.partition.is_waiting
        assert bench.partition.buffered_records == 2
        assert bench.partition.take(2) == ()
        assert bench.consumer.paused == {"in-0"}
        assert "schema id 7" in bench.observer.ready()[1]
        bench.answers.set()
        await bench.gone_on.wait()
        assert bench.consumer.paused == set()
        assert "schema id 7" not in bench.observer.ready()[1]
        assert [record.value for record in bench.partition.take(2)] == [b"a", b"b"]

    on_a_bench(tmp_path, talk)


def test_who_has_left_meanwhile_is_fetched_for_by_nobody(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        bench.wait_for_schema()
        bench.partition.has_left = True
        bench.answers.set()
        await until(lambda: not bench.waiting._asking)
        assert bench.consumer.paused == {"in-0"}
        assert not bench.gone_on.is_set()

    on_a_bench(tmp_path, talk)


def test_an_answer_that_contradicts_ends_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(bench: Bench) -> None:
        monkeypatch.setattr(module, "end_process", bench.ended.append)
        bench.wrong = SchemaIdsError("id 7 has another schema")
        bench.wait_for_schema()
        bench.answers.set()
        await until(lambda: bool(bench.ended))
        assert "id 7 has another schema" in bench.ended[0]

    on_a_bench(tmp_path, talk)


def test_nobody_asks_any_more_once_it_is_stopped(tmp_path: Path) -> None:
    async def talk(bench: Bench) -> None:
        bench.wait_for_schema()
        bench.waiting.stop()
        await until(lambda: not bench.waiting._asking)
        assert bench.partition.is_waiting
        bench.answers.set()

    on_a_bench(tmp_path, talk)
