"""The Faust app of a worker: its agent, consumer group and timers around the batch runtime."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import faust
from faust.tables.manager import TableManager
from faust.types import TP

from serdes.registry.known_ids import IdLogUnavailableError, SchemaIdsError
from state.owners.name import host_and_port
from state.stores.rocksdb import RocksDBStores, StoreMemory
from streams.route import Route
from streams.runtime.faust_program import (
    PlainWorker,
    WithoutWeb,
    calm_collector,
    faust_settings,
    use_uvloop,
)
from streams.runtime.group import ConsumerGroup
from streams.runtime.health import HealthServer
from streams.runtime.outside.answers import AnswerLog, idempotent_producer
from streams.runtime.outside.executor import IntentExecutor
from streams.runtime.ownership.checks import Cluster, check_cluster
from streams.runtime.ownership.committed_records import CommittedRecords, Lookups
from streams.runtime.ownership.generation import Generation
from streams.runtime.ownership.positions import Place
from streams.runtime.process.clock import ClockWatch, OwnClock
from streams.runtime.process.data_dir import lock_data_dir
from streams.runtime.process.failpoints import Failpoints
from streams.runtime.process.fatal import PartitionTrouble, WorkerMustEnd, before_end, end_process
from streams.runtime.process.observer import Observer
from streams.runtime.process.transaction_watch import TransactionWatch
from streams.runtime.process.watchdog import Watchdog
from streams.runtime.stock_taking import StockTaking
from streams.runtime.ticker import Ticker
from streams.runtime.topic_keeper import TopicKeeper
from streams.runtime.transactions.crash_journal import CrashJournal
from streams.runtime.transactions.group_commit import GroupCommit, InputPartitions
from streams.runtime.transactions.input_partition import InputPartition
from streams.runtime.transactions.schema_questions import AskRegistry
from streams.runtime.transport import BatchTransport, Fetch, RawFetchSchema
from streams.runtime.worker_parts import WorkerParts
from streams.settings import Settings


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
        use_uvloop()
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
        self._background: list[asyncio.Task[Any]] = []
        self._opening: asyncio.Task[None] | None = None
        # Seeks run one at a time, because each stops the flow of fetches and starts it again.
        self._seeking = asyncio.Lock()
        lookups = Lookups(
            self._committed_records,
            token=settings.lookup_token,
            host=settings.health_host,
            count=self.observer.looked_up,
            left_alone=self._left_alone,
        )
        self._health = HealthServer(
            self.observer, lookups, settings.health_host, settings.health_port, settings.data_dir
        )
        super().__init__(
            settings.app_id,
            TableManager=Ownership,
            Worker=PlainWorker,
            **faust_settings(settings),
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
        calm_collector()
        await self._health.start()
        topics = TopicKeeper(self._parts, self._present_group_commit)
        stock = StockTaking(
            self.routes,
            self.observer,
            self._transactions,
            lambda: self.generation,
            lambda: self.consumer,
        )
        self._background = [
            asyncio.create_task(self._watchdog.run(), name="watchdog"),
            asyncio.create_task(self._ticker.run(), name="ticker"),
            asyncio.create_task(stock.run(), name="stock-taking"),
            asyncio.create_task(topics.run(), name="topic-watch"),
            asyncio.create_task(stock.watch_transactions(), name="transaction-watch"),
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

    def _left_alone(self, source: str) -> Mapping[str, int]:
        return {} if self._parts is None else self._parts.intents.left_alone(source)

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


def _end_on_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        end_process(f"{task.get_name()} failed: {error!r}", error)
