"""What is open is shown, and no store is closed while it is looked through.

Destinations, brokers and stores are in memory (`support.workers.calls_in_memory`).
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.pods.conditions import until
from support.workers.calls_in_memory import WorkerOfCalls, with_worker

from state.stores.memory import MemoryStore
from streams.runtime.outside import executor as module
from streams.runtime.outside import looking


class SlowStore(MemoryStore):
    """Waits before it gives what it holds; remembers whether it was asked when it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.goes = threading.Event()
        self.goes.set()
        self.asked = 0
        self.is_closed = False
        self.was_asked_closed = False

    def items(self, begin: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        self.asked += 1
        # Bounded, so that no thread outlives its test.
        self.goes.wait(60)
        self.was_asked_closed |= self.is_closed
        return super().items(begin)


def test_open_intents_and_the_age_of_the_oldest_are_shown(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.call("one", "two")
        await until(lambda: worker.partition(0).committed_offset == 2)
        worker.later(3_000)
        await worker.executor.leave(worker.partition(0))
        worker.executor.join(worker.partition(0))
        await until(lambda: worker.metric("seatstream_open_intents", destination="bank") == 2)
        assert worker.metric("seatstream_oldest_open_intent_seconds") == 3
        assert worker.metric("seatstream_open_intents", destination="post") == 0

    with_worker(tmp_path, talk)


def test_what_is_open_in_a_partition_that_is_set_aside_is_shown_and_grows_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_SURVEY_S", 0.0)

    async def talk(worker: WorkerOfCalls) -> None:
        def shown() -> tuple[float, ...]:
            return (
                worker.metric("seatstream_open_intents", destination="bank"),
                worker.metric("seatstream_oldest_open_intent_seconds"),
                worker.metric("seatstream_stranded_intents", destination="nowhere"),
            )

        place = (worker.partition(0).topic, 0)
        worker.call("one", "two")
        await until(lambda: worker.partition(0).committed_offset == 2)
        await until(lambda: shown() == (2, 0, 0))
        worker.later(3_000)
        await worker.executor.leave(worker.partition(0))
        await until(lambda: shown() == (2, 3, 0))
        # It is ours still, while it is tried again or whatever becomes of others.
        worker.executor.assigned([place])
        worker.later(2_000)
        await until(lambda: shown() == (2, 5, 0))
        worker.executor.join(worker.partition(0))
        await until(lambda: worker.executor._boxes[worker.partition(0)].surveying is not None)
        assert shown() == (2, 5, 0)
        await worker.executor.leave(worker.partition(0))
        worker.executor.assigned([])
        assert shown() == (0, 0, 0)

    with_worker(tmp_path, talk)


@pytest.mark.parametrize("left", [("post",), ()])
def test_an_intent_whose_destination_is_no_performer_any_more_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, left: tuple[str, ...]
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        worker.call("one", "two")
        await until(lambda: worker.bank.under_way == 2)
        await worker.lose()
        worker.performers = {name: worker.performers[name] for name in left}
        worker.own()
        name = "seatstream_stranded_intents"
        await until(lambda: worker.metric(name, destination="bank") == 2)
        [line] = [one for one in caplog.messages if "none of its performers" in one]
        assert line.startswith("asked-0: 2 open intents are for 'bank'")
        assert (", ".join(left) or "none") in line
        # With its performer it is performed, and nothing is stranded.
        await worker.lose()
        worker.performers = {"bank": worker.bank, "post": worker.post}
        worker.bank.goes.set()
        worker.own()
        await until(lambda: len(worker.applied) == 2)

    with_worker(tmp_path, talk)


def test_a_look_through_a_store_that_waits_for_a_thread_never_begins_once_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        await worker.lose()
        worker.stores = [store := SlowStore()]
        busy, goes = ThreadPoolExecutor(1), threading.Event()
        busy.submit(goes.wait, 60)
        worker.own()
        await worker.executor.leave(worker.partition(0))
        asked = store.asked
        worker.executor._looking._threads = busy
        asyncio.get_running_loop().set_default_executor(busy)
        worker.executor.join(worker.partition(0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        monkeypatch.setattr(module, "CANCELLED_S", 0.0)
        await worker.executor.leave(worker.partition(0))
        store.is_closed = True
        goes.set()
        await asyncio.to_thread(lambda: None)
        assert (store.asked, store.was_asked_closed) == (asked, False)

    with_worker(tmp_path, talk)


def test_no_store_is_closed_while_it_is_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        await worker.lose()
        worker.stores = [store := SlowStore()]
        store.goes.clear()
        worker.own()
        await until(lambda: store.asked == 1)
        monkeypatch.setattr(module, "CANCELLED_S", 0.0)
        leaving = asyncio.create_task(worker.executor.leave(worker.partition(0)))
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert not leaving.done()
        store.goes.set()
        await leaving
        store.is_closed = True

    with_worker(tmp_path, talk)


def test_a_look_through_a_store_waits_for_no_thread_of_others(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        busy, goes = ThreadPoolExecutor(1), threading.Event()
        busy.submit(goes.wait, 60)
        asyncio.get_running_loop().set_default_executor(busy)
        try:
            worker.call("one")
            await until(lambda: worker.partition(0).committed_offset == 1)
            await worker.executor.leave(worker.partition(0))
            worker.executor.join(worker.partition(0))
            await until(lambda: worker.metric("seatstream_open_intents", destination="bank") == 1)
        finally:
            goes.set()

    with_worker(tmp_path, talk)


def test_a_look_that_was_wanted_while_another_went_on_is_not_made_again(tmp_path: Path) -> None:
    async def talk(worker: WorkerOfCalls) -> None:
        await worker.lose()
        worker.stores = [store := SlowStore()]
        store.goes.clear()
        worker.own()
        [box] = worker.executor._boxes.values()
        await until(lambda: store.asked == 1)
        box.wants_survey.set()
        store.goes.set()
        await until(lambda: box.surveying is not None and box.surveying.done())
        await until(lambda: not box.wants_survey.is_set())
        for _ in range(100):
            await asyncio.sleep(0)
        assert store.asked == 1

    with_worker(tmp_path, talk)
