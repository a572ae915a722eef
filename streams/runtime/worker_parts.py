"""What a worker has once, built when it starts and handed whole to all that runs in it."""

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

    routes:       what it plays, by the topic that each reads.
    cluster:      what the checks at start learned of its topics.
    stores:       opens the store of a partition.
    executor:     one thread, which alone writes stores.
    observer:     told what happens.
    journal:      which records end workers.
    watchdog:     whether the process was paused for long.
    reached:      told each place at which a test can make the worker die.
    ask_registry: asks what a schema id stands for.
    fetch_from:   has records of a partition fetched, or not.
    intents:      performs what handlers want done outside.
    take_in:      has a partition fetched that joins a running generation.
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
