"""What the consumer does when Faust starts and stops its fetching."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import TopicPartition
from faust.types import TP

from docs.examples.count_per_key import ROUTE
from streams.runtime import transport
from streams.runtime.app import BatchApp
from streams.settings import Settings


def test_to_stop_in_the_middle_of_a_rebalance_is_no_crash(tmp_path: Path) -> None:
    async def stop_while_nothing_may_be_fetched() -> None:
        app = BatchApp(Settings(data_dir=tmp_path), [ROUTE])
        app.rebalancing = True
        fetcher = app._fetcher
        await fetcher.start()
        # Faust's consumer waits until it may fetch something.
        for _ in range(5):
            await asyncio.sleep(0)
        await fetcher.stop()
        assert not fetcher.crashed

    asyncio.run(stop_while_nothing_may_be_fetched())


def test_leaving_does_not_wait_for_connections_that_never_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        async def stop(self) -> None:
            await asyncio.Event().wait()

    async def leave() -> None:
        app = BatchApp(Settings(data_dir=tmp_path), [ROUTE])
        consumer: Any = app.consumer
        thread = consumer._thread
        thread._consumer = Client()
        async with asyncio.timeout(60):
            await thread.on_thread_stop()

    monkeypatch.setattr(transport, "_LEAVE_S", 0.05)
    asyncio.run(leave())


def test_s4_an_error_of_the_fetcher_concerns_the_partitions_that_it_names() -> None:
    partitions = {TP("in", 0), TP("in", 1), TP("other", 0)}
    for error, concerned in [
        (OffsetOutOfRangeError({TopicPartition("in", 1): 7}), {TP("in", 1)}),
        (NoOffsetForPartitionError(TopicPartition("other", 0)), {TP("other", 0)}),
        (TopicAuthorizationFailedError("in"), {TP("in", 0), TP("in", 1)}),
        (KafkaError("something else"), set()),
    ]:
        assert transport.concerned_by(error, partitions) == concerned
