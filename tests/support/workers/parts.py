"""The parts of a worker over a directory of a test, without Faust and without brokers."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from state.stores.memory import MemoryStore
from state.stores.partition_state import PartitionState
from state.stores.rocksdb import RocksDBStores, StoreMemory
from streams.route import Route
from streams.runtime.outside.answers import AnswerLog, Appending
from streams.runtime.outside.executor import IntentExecutor
from streams.runtime.ownership.checks import Cluster
from streams.runtime.process.observer import Observer
from streams.runtime.process.watchdog import Watchdog
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.input_partition import InputPartition
from streams.runtime.transactions.schema_questions import AskRegistry
from streams.runtime.worker_parts import WorkerParts
from streams.settings import Settings

PARTITIONS = 4


class Consumer:
    """Remembers what is fetched.

    paused: partitions whose records are not fetched. taken_in: those that joined later.
    """

    def __init__(self) -> None:
        self.paused: set[str] = set()
        self.taken_in: list[str] = []

    def fetch_from(self, partition: InputPartition, is_wanted: bool) -> None:
        if is_wanted:
            self.paused.discard(partition.place)
        else:
            self.paused.add(partition.place)

    async def take_in(self, partition: InputPartition) -> None:
        self.taken_in.append(partition.place)


def parts_over(
    directory: Path,
    route: Route,
    consumer: Consumer,
    settings: Settings,
    ask_registry: AskRegistry = lambda _: False,
) -> WorkerParts:
    """Return parts of a worker that plays one route."""
    observer = Observer(settings.stall_s)
    topics = (route.source, route.changelog, route.dead_letters, *route.to)
    return WorkerParts(
        settings=settings,
        routes={route.source: route},
        cluster=Cluster(
            dict.fromkeys(topics, PARTITIONS), dict.fromkeys(topics, "id"), frozenset()
        ),
        stores=RocksDBStores(directory / "stores", StoreMemory(1 << 20, 1 << 20)),
        executor=ThreadPoolExecutor(1),
        observer=observer,
        journal=CrashJournal(directory / "crash-journal.json"),
        watchdog=Watchdog(0.0),
        reached=lambda _: None,
        ask_registry=ask_registry,
        fetch_from=consumer.fetch_from,
        intents=IntentExecutor(
            settings,
            [route],
            AnswerLog(_nobody, observer),
            observer,
            reached=lambda _: None,
            in_trouble=lambda _partition, _trouble: None,
            now_ms=lambda: 0,
        ),
        take_in=consumer.take_in,
    )


def _nobody() -> Appending:
    raise NotImplementedError


def partition_in_memory(
    parts: WorkerParts,
    number: int,
    store: MemoryStore | None = None,
    next_offset: int = 0,
    end_offset: int = 0,
) -> InputPartition:
    """Return a partition of the route that these parts play, over a store in memory."""
    routes: Mapping[str, Route] = parts.routes
    [(topic, route)] = routes.items()
    state = PartitionState(store or MemoryStore())
    return InputPartition(
        route,
        topic,
        number,
        PARTITIONS,
        state,
        next_offset,
        0,
        parts.journal,
        end_offset=end_offset,
    )
