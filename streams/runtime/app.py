"""The Faust app of a worker: its agent, consumer group and timers around the batch runtime."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import faust
import psutil
import uvloop
from aiokafka.structs import TopicPartition
from faust.app.base import BootStrategy
from faust.tables.manager import TableManager
from faust.types import TP

from infra.process.log_lines import configuration
from serdes.registry.known_ids import IdLogUnavailableError, SchemaIdsError
from state.owners.name import host_and_port
from state.stores.rocksdb import RocksDBStores, StoreMemory
from streams.route import Route
from streams.runtime.group import ConsumerGroup, end_offsets
from streams.runtime.health import HealthServer
from streams.runtime.outside.answers import AnswerLog, idempotent_producer
from streams.runtime.outside.executor import IntentExecutor
from streams.runtime.ownership.checks import Cluster, check_cluster
from streams.runtime.ownership.committed_records import CommittedRecords, Lookups
from streams.runtime.ownership.generation import Generation
from streams.runtime.ownership.positions import Place
from streams.runtime.ownership.troubles import STORE_ERRORS
from streams.runtime.process.clock import ClockWatch, OwnClock
from streams.runtime.process.failpoints import Failpoints
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd, before_end, end_process
from streams.runtime.process.observer import Kept, Observer
from streams.runtime.process.stock import TransactionWatch
from streams.runtime.process.watchdog import Watchdog
from streams.runtime.ticker import Ticker
from streams.runtime.topic_keeper import TopicKeeper
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.group_commit import GroupCommit, InputPartitions
from streams.runtime.transactions.input_partition import InputPartition
from streams.runtime.transactions.schema_questions import AskRegistry
from streams.runtime.transport import (
    BatchTransport,
    Fetch,
    RawFetchSchema,
    credentials_of,
    read_to,
)
from streams.runtime.worker_parts import WorkerParts
from streams.settings import Settings

_STOCK_TAKING_S = 2.0


class Ownership(TableManager):
    """Replaces Faust's table manager: each rebalance closes a generation and opens the next."""

    app: BatchApp

    async def on_start(self) -> None:
        await self._update_channels()

    async def on_stop(self) -> None:
        await self.app._fetcher.stop()
        await self.app.close_generation()

    def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002
        self.app.consumer.stop_flow()
        if self.app.generation is not None:
            self.app.generation.stop_intake()

    async def on_rebalance(
        self,
        assigned: Any,
        revoked: Any,  # noqa: ARG002
        newly_assigned: Any,  # noqa: ARG002
        generation_id: int = 0,
    ) -> None:
        self._tables_registered.set()
        await self.app.close_generation()
        if not self.app.should_stop:
            self.app.open_generation(assigned, generation_id)


class WithoutWeb(BootStrategy):
    """Starts Faust's services except its web server and its producer.

    `faust worker` turns the web server on by default; the server would listen on every interface,
    and on the same port in all workers of a machine. Nothing is produced through Faust's producer,
    and its start waits for 20 minutes where the first broker that it asks is frozen.
    """

    enable_web = False
    enable_kafka_producer = False


class PlainWorker(faust.Worker):
    """Faust's program around an app, without the spinner in its terminal; and it ends at once.

    The spinner turns with every debug log record, so all of them have to be made: that takes a
    twentieth of a worker's time under load. It would also write between the lines of the log.
    """

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:  # noqa: ARG002
        self.spinner = None

    async def _sentinel_task(self) -> None:
        """Wait for tasks that were cancelled, a second at most; stock Faust always waits for it.

        All services have stopped by now: a rolling restart takes a second less for each worker.
        """
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=1.0)


class BatchApp(faust.App):
    """A Faust app whose agents take whole fetches and whose state lives in generations."""

    BootStrategy = WithoutWeb

    def __init__(
        self,
        settings: Settings,
        routes: Sequence[Route],
        *,
        ask_registry: AskRegistry = lambda _: False,
        confirm: Callable[[], None] = lambda: None,
        log_append_time: bool = True,
        notes: Sequence[str] = (),
    ) -> None:
        _use_uvloop()
        self.worker_settings = settings
        self.routes = {route.source: route for route in routes}
        self.generation: Generation | None = None
        self._left: Generation | None = None
        self.observer = Observer(settings.stall_s, settings.takeover_timeout_s, settings.revision)
        client = {"bootstrap.servers": settings.brokers, **settings.kafka.librdkafka()}
        self._transactions = TransactionWatch(client, self.routes, self.observer)
        self._ask_registry = ask_registry
        self._confirm = confirm
        self._notes = notes
        self._log_append_time = log_append_time
        self._failpoints = Failpoints.from_env(os.environ)
        self._clocks = ClockWatch(OwnClock.from_env())
        self._watchdog = Watchdog(settings.watchdog_s)
        self._parts: WorkerParts | None = None
        self._process = psutil.Process()
        self._background: list[asyncio.Task[Any]] = []
        self._opening: asyncio.Task[None] | None = None
        # Seeks run one at a time, because each stops the flow of fetches and starts it again.
        self._seeking = asyncio.Lock()
        lookups = Lookups(
            self._committed_records,
            token=settings.lookup_token,
            host=settings.health_host,
            count=self.observer.looked_up,
        )
        self._health = HealthServer(
            self.observer, lookups, settings.health_host, settings.health_port, settings.data_dir
        )
        super().__init__(
            settings.app_id,
            TableManager=Ownership,
            Worker=PlainWorker,
            **_faust_settings(settings),
        )
        self.on_partitions_revoked.connect(self._finish_generation)
        for route in routes:
            self._add_agent(route)

    # --- Faust's extension points ----------------------------------------------------------

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        self.worker_settings.data_dir.mkdir(parents=True, exist_ok=True)
        super()._create_directories()

    async def on_start(self) -> None:
        for note in (f"settings {self.worker_settings}", *self._notes):
            self.observer.log.info(note)
        await super().on_start()
        try:
            cluster = await asyncio.get_running_loop().run_in_executor(None, self._check)
        except WorkerMustEnd as error:
            end_process(str(error))
        self._parts = self._parts_over(cluster)
        self._ticker = Ticker(
            self.worker_settings.connection,
            tuple(self.routes.values()),
            self._running,
            self.worker_settings.tick_ms,
            self.observer,
            self._clocks,
        )
        try:
            await self._ticker.start()
        except WorkerMustEnd as error:
            end_process(str(error))
        _calm_collector()
        await self._health.start()
        topics = TopicKeeper(self._parts, self._present_group_commit)
        self._background = [
            asyncio.create_task(self._watchdog.run(), name="watchdog"),
            asyncio.create_task(self._ticker.run(), name="ticker"),
            asyncio.create_task(self._take_stock(), name="stock-taking"),
            asyncio.create_task(topics.run(), name="topic-watch"),
            asyncio.create_task(self._watch_transactions(), name="transaction-watch"),
        ]
        self._background += self._parts.intents.start()
        for task in self._background:
            task.add_done_callback(_end_on_error)

    async def on_stop(self) -> None:
        if self._parts is not None:
            # First, while the partitions are ours: the answers of calls are still folded then.
            await self._parts.intents.drain()
        await super().on_stop()
        await self.close_generation()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._ticker.stop()
        await self._health.stop()
        if self._parts is not None:
            await self._parts.intents.stop()
            self._parts.executor.shutdown(wait=False)

    async def on_started_init_web_server(self) -> None:
        """Faust's web server stays off; the health pages have a server of their own."""

    # --- generations -----------------------------------------------------------------------

    async def has_room(self) -> None:
        """Wait while the buffers are full; the transport asks before every fetch."""
        generation = self.generation
        if generation is not None and generation.group_commit is not None:
            await generation.group_commit.has_room()

    def open_generation(self, assigned: Any, generation_id: int) -> None:
        """Begin to take over the assigned partitions; records flow once that is done."""
        places = sorted((tp.topic, tp.partition) for tp in assigned)
        self.observer.assigned(places)
        if self._parts is not None:
            self._parts.intents.assigned(places)
        if not places:
            self.observer.idle(generation_id)
            self._resume()
            return
        assert self._parts is not None
        # A rebalance may mean that this process stood still: no earlier clock reading is believed.
        self._clocks.forget()
        generation = Generation(
            self._parts,
            generation_id,
            places,
            ConsumerGroup(lambda: self.consumer, self.worker_settings.takeover_timeout_s),
            self._lookup_address(),
        )
        self.generation = generation
        self._opening = asyncio.create_task(self._open(generation, assigned), name="take-over")
        self._opening.add_done_callback(_end_on_error)

    def intake(self) -> InputPartitions | None:
        """Return the partitions that take records in; None while partitions change hands."""
        generation = self.generation
        return generation.partitions if generation is not None and generation.takes_in else None

    def in_trouble(self, place: Place, trouble: PartitionTrouble) -> None:
        """Set a partition aside that runs in the present generation."""
        if self.generation is not None:
            self.generation.in_trouble(place, trouble)

    async def _finish_generation(self, *_: Any, **__: Any) -> None:
        """End the transaction in flight; Faust rejoins the group only after that.

        Otherwise the next owner would fence a healthy worker that is about to commit.
        """
        if self.generation is not None:
            await self.generation.finish()

    async def close_generation(self) -> None:
        """Close the present generation, if any; returns when nothing of it is under way.

        Whoever leaves while a rebalance closes it waits too: the threads and clients that it is
        closed with end behind this.
        """
        if self.generation is not None:
            self._left, self.generation = self.generation, None
        if self._left is not None:
            await self._left.close()

    async def _open(self, generation: Generation, assigned: Any) -> None:
        if not await generation.open() or self.generation is not generation:
            return
        consumer = self.consumer
        async with self._seeking:
            await consumer.forget_fetches()
            # Partitions that are set aside stay paused until they are taken in.
            consumer.pause_partitions(assigned)
            partitions = generation.partitions
            for place, partition in partitions.items():
                await consumer.seek(TP(*place), partition.next_offset)
            if self.generation is generation and not generation.is_closing():
                generation.takes_in = True
                running = {TP(*place) for place, one in partitions.items() if not one.has_left}
                consumer.resume_partitions(running)
                self._resume()

    def _resume(self) -> None:
        self.flow_control.resume()
        self.consumer.resume_flow()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        self.on_rebalance_end()
        self._opening_fetcher = asyncio.ensure_future(self._fetcher.maybe_start())

    async def _take_in(self, partition: InputPartition) -> None:
        """Begin to fetch for a partition that has joined those that run."""
        tp = TP(partition.topic, partition.number)
        generation = self.generation
        async with self._seeking:
            if generation is None or not generation.takes_in:
                # `_open` begins to fetch for all partitions later, or they are changing hands.
                return
            await self.consumer.forget_fetches()
            await self.consumer.seek(tp, partition.next_offset)
            if self.generation is generation and generation.takes_in:
                if not partition.has_left:
                    self.consumer.resume_partitions({tp})
                self.consumer.resume_flow()

    def _fetch_from(self, partition: InputPartition, is_wanted: bool) -> None:
        partitions = {TP(partition.topic, partition.number)}
        if is_wanted:
            self.consumer.resume_partitions(partitions)
        else:
            self.consumer.pause_partitions(partitions)

    def _committed_records(self) -> CommittedRecords | None:
        return self.generation.committed if self.generation is not None else None

    def _lookup_address(self) -> str:
        host = self.worker_settings.lookup_host
        return host_and_port(host, self._health.port) if host else ""

    def _running(self) -> Sequence[InputPartition]:
        return tuple(self.generation.partitions.values()) if self.generation is not None else ()

    # --- inside ----------------------------------------------------------------------------

    def _add_agent(self, route: Route) -> None:
        source = self.topic(
            route.source, schema=RawFetchSchema(key_type=bytes, value_type=bytes), acks=False
        )

        async def take(stream: Any) -> None:
            async for event in stream.noack().events():
                fetch: Fetch = event.value
                generation = self.generation
                if generation is not None:
                    try:
                        generation.feed(fetch)
                    except Exception as error:  # noqa: BLE001  (whatever it is, the process ends)
                        end_process(f"unexpected {error!r}", error)

        self.agent(source, name=f"{route.role}.{route.source}")(take)

    def _parts_over(self, cluster: Cluster) -> WorkerParts:
        settings = self.worker_settings
        memory = StoreMemory(settings.store_cache_bytes, settings.store_write_bytes)
        return WorkerParts(
            settings=settings,
            routes=self.routes,
            cluster=cluster,
            stores=RocksDBStores(settings.data_dir / "stores", memory),
            executor=ThreadPoolExecutor(1, thread_name_prefix="store"),
            observer=self.observer,
            journal=self._journal,
            watchdog=self._watchdog,
            reached=self._failpoints.reach,
            ask_registry=self._ask_registry,
            fetch_from=self._fetch_from,
            intents=IntentExecutor(
                settings,
                tuple(self.routes.values()),
                AnswerLog(partial(idempotent_producer, settings.connection), self.observer),
                self.observer,
                reached=self._failpoints.reach,
                in_trouble=self._intents_in_trouble,
                now_ms=self._clocks.own.now_ms,
            ),
            take_in=self._take_in,
        )

    def _check(self) -> Cluster:
        self._data_lock = lock_data_dir(self.worker_settings.data_dir)
        # Opened under the lock: another worker of this directory may have been writing it before.
        self._journal = CrashJournal(self.worker_settings.data_dir / "crash-journal.json")
        before_end.append(self._journal.excuse)
        cluster = check_cluster(
            self.worker_settings.brokers,
            self.routes.values(),
            log_append_time=self._log_append_time,
            kafka=self.worker_settings.kafka.librdkafka(),
        )
        try:
            self._confirm()
        except (SchemaIdsError, IdLogUnavailableError) as error:
            message = f"schema ids: {type(error).__name__}: {error}"
            raise WorkerMustEnd(message) from error
        return cluster

    def _intents_in_trouble(self, partition: InputPartition, trouble: PartitionTrouble) -> None:
        """Set a partition aside, unless another owner's has taken its place meanwhile."""
        place = partition.topic, partition.number
        if self.generation is not None and self.generation.partitions.get(place) is partition:
            self.generation.in_trouble(place, trouble)

    def _present_group_commit(self) -> GroupCommit | None:
        return self.generation.group_commit if self.generation is not None else None

    async def _take_stock(self) -> None:
        """Measure lag and memory at intervals, for /live and the metrics."""
        while True:
            await asyncio.sleep(_STOCK_TAKING_S)
            await self._take_stock_once()

    async def _watch_transactions(self) -> None:
        """Look for transactions that nobody ends, also in partitions that are set aside."""
        while True:
            await asyncio.sleep(_STOCK_TAKING_S)
            if self.generation is not None:
                await self._transactions.look(self.generation.assigned)

    async def _take_stock_once(self) -> None:
        partitions = self._running()
        self.observer.memory(
            buffered_bytes=sum(one.buffered_bytes for one in partitions),
            resident_bytes=self._process.memory_info().rss,
            stores=[one.state.store.statistics() for one in partitions],
        )
        self.observer.time({one.place: one.behind_ms for one in partitions})
        if self.generation is not None:
            self.observer.kept(kept_in(self.routes, self.generation.assigned, partitions))
        lags = await self._measured(partitions) if partitions else {}
        self.observer.lag(lags, int(time.time() * 1000))

    async def _measured(
        self, partitions: Sequence[InputPartition]
    ) -> dict[str, tuple[int, int, int]]:
        """Return position, end offset and log time of those partitions whose end is told."""
        thread = self.consumer._thread
        tps = [TopicPartition(one.topic, one.number) for one in partitions]
        try:
            ends = await thread.call_thread(end_offsets, thread._consumer, tps)
        except Exception as error:  # noqa: BLE001  (the group may be rebalancing)
            self.observer.log.info(
                "the brokers did not tell end offsets, so the lag is unknown: %r", error
            )
            return {}
        for tp, end in ends.items():
            if not isinstance(end, int):
                self.observer.log.info("the end of %s-%d is unknown, and so its lag: %r", *tp, end)
        positions = [
            partition.committed_offset
            if partition.committed_offset < partition.next_offset
            else read_to(thread._consumer, tp, partition.next_offset)
            for partition, tp in zip(partitions, tps, strict=True)
        ]
        for partition, position in zip(partitions, positions, strict=True):
            partition.note_read_to(position)
        return {
            partition.place: (position, ends[tp], partition.log_time_ms)
            for partition, tp, position in zip(partitions, tps, positions, strict=True)
            if isinstance(ends[tp], int)
        }


def kept_in(
    routes: Mapping[str, Route], assigned: Iterable[Place], running: Iterable[InputPartition]
) -> dict[str, Kept | None]:
    """Return what routes count in the states of our partitions; None where nobody can tell.

    routes: by the topic that each reads. Partitions of routes that count nothing are left out.
    """
    by_place = {(one.topic, one.number): one for one in running}
    found: dict[str, Kept | None] = {}
    for place in assigned:
        route, partition = routes[place[0]], by_place.get(place)
        if route.counts is None:
            continue
        name = f"{place[0]}-{place[1]}"
        found[name] = None
        if partition is None:
            # Set aside, or not taken over yet.
            continue
        # Whoever decides in a damaged store finds it too, and knows what to do.
        with suppress(*STORE_ERRORS, ValueError):
            found[name] = {
                (route.role, kind): number
                for kind, number in route.counts(partition.state).items()
            }
    return found


def _use_uvloop() -> None:
    """Have Faust make uvloop's event loops: they are faster at a transaction's small messages."""
    with warnings.catch_warnings():
        # Python 3.14 warns of every event loop policy, but Faust makes its loops by a policy.
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def _faust_settings(settings: Settings) -> dict[str, Any]:
    session_s = settings.session_timeout_s
    return {
        "broker": ";".join(f"kafka://{address}" for address in settings.brokers.split(",")),
        # For Faust's own producer, and for the consumer that our transport builds.
        "broker_credentials": credentials_of(settings.kafka),
        "store": "memory://",
        "datadir": str(settings.data_dir / "faust"),
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        # Instead of the level and the file that `faust worker` may be given.
        "logging_config": configuration(settings.log_format, settings.log_level),
        "stream_wait_empty": False,
        "table_standby_replicas": 0,
        "consumer_max_fetch_size": 2 << 20,
        "broker_session_timeout": session_s,
        # Frequent, because a worker hears of another's death with its next heartbeat.
        "broker_heartbeat_interval": max(0.3, session_s / 12),
        "broker_request_timeout": max(20.0, session_s),
        "broker_rebalance_timeout": max(20.0, session_s),
        "consumer_group_instance_id": settings.instance if settings.static_membership else None,
    }


def lock_data_dir(data_dir: Path) -> TextIO:
    """Lock a data directory; the lock ends with the process, however that ends.

    Raises WorkerMustEnd where another worker has it.
    """
    lock = (data_dir / "lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        message = (
            f"another worker uses {data_dir}: give each worker a SEATSTREAM_DATA_DIR of its own"
        )
        raise WorkerMustEnd(message) from error
    return lock


def _calm_collector() -> None:
    """Have the garbage collector leave out what lives as long as the process, and run rarely.

    By default it runs after each thousand or so of new objects; a batch makes tens of thousands of
    short-lived tuples, and no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 50)


def _end_on_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        end_process(f"{task.get_name()} failed: {error!r}", error)
