"""What a worker has once: built at its start, and handed as a whole to all that runs in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from state.stores.rocksdb import RocksDBStores
from streams.route import Route
from streams.runtime.outside.executor import IntentExecutor
from streams.runtime.ownership.checks import Cluster
from streams.runtime.process.observer import Observer
from streams.runtime.process.watchdog import Watchdog
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.input_partition import InputPartition
from streams.runtime.transactions.schema_questions import AskRegistry
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """The parts of one worker.

    routes:       the routes that this worker runs, by the topic that each reads.
    cluster:      what the checks at start found out about its topics.
    stores:       opens the store of a partition.
    executor:     one thread, which alone writes stores.
    observer:     takes what happens into metrics, pages and the log.
    journal:      remembers which records were in work when a worker crashed.
    watchdog:     knows whether the process was paused for long.
    reached:      called with the name of each place at which a test can make the worker die.
    ask_registry: asks what a schema id stands for.
    fetch_from:   turns fetching from a partition on or off.
    intents:      performs the effects outside Kafka that handlers ask for.
    take_in:      starts fetching from a partition that joins a running generation.
    """

    settings: Settings
    routes: Mapping[str, Route]
    cluster: Cluster
    stores: RocksDBStores
    executor: Executor
    observer: Observer
    journal: CrashJournal
    watchdog: Watchdog
    reached: Callable[[str], None]
    ask_registry: AskRegistry
    fetch_from: Callable[[InputPartition, bool], None]
    intents: IntentExecutor
    take_in: Callable[[InputPartition], Awaitable[None]]
