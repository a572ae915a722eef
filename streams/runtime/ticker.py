"""Moves log time: sends each owned partition its tick, and compares clocks by the answers.

A partition gets a tick while something in its state is due and while its log time is far behind.
Otherwise it gets one now and then, so that its log time never jumps (`streams.folding.log_time`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams.folding.log_time import JUMP_MS
from streams.route import Route, Tick
from streams.runtime.process.clock import LIMIT_MS, ClockWatch, Sent
from streams.runtime.process.fatal import WorkerMustEnd, end_process
from streams.runtime.process.observer import Observer
from streams.runtime.transactions.input_partition import InputPartition

_SELDOM_S = JUMP_MS / 3_000
# A broker that takes longer to answer must not hold up the start; its late answer still counts.
_ASK_S = 3.0
_TRIES = 2
_LOG_APPEND_TIME = 1


class Ticker:
    """Sends ticks by the worker's own clock; two tickers of one partition do no harm.

    partitions: returns the partitions that this worker owns at the moment.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        routes: Sequence[Route],
        partitions: Callable[[], Sequence[InputPartition]],
        every_ms: int,
        observer: Observer,
        watch: ClockWatch,
    ) -> None:
        self._connection = connection
        self._ticks = {route.source: route.tick for route in routes if route.tick is not None}
        self._partitions = partitions
        self._every_ms = min(every_ms, int(_SELDOM_S * 1000))
        self._observer = observer
        self._watch = watch
        self._own = watch.own
        self._ticked_s: dict[str, float] = {}
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Compare our clock with every broker's; raise WorkerMustEnd where it is wrong."""
        if not self._ticks:
            return
        self._producer = AIOKafkaProducer(
            **{**self._connection, "request_timeout_ms": 5_000}, acks="all"
        )
        await self._producer.start()
        for _ in range(_TRIES):
            await self._ask(self._brokers())
            if not self._watch.silent(self._brokers()):
                break
        await self._judge()

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()

    async def run(self) -> None:
        """Tick until cancelled."""
        if self._producer is None:
            return
        jumps_ms = self._own.jumps_ms()
        while True:
            await asyncio.sleep((self._every_ms - self._own.now_ms() % self._every_ms) / 1000)
            stepped_ms = self._own.jumps_ms() - jumps_ms
            if abs(stepped_ms) > LIMIT_MS:
                self._observer.log.error(
                    "this worker's clock jumped by %.1f s: the brokers are asked for their time",
                    stepped_ms / 1000,
                )
                jumps_ms += stepped_ms
                await self._ask(self._brokers())
            await self._tick(self._producer)
            try:
                await self._judge()
            except WorkerMustEnd as error:
                end_process(str(error))

    async def _tick(self, producer: AIOKafkaProducer) -> None:
        partitions = self._partitions()
        now_s = self._own.monotonic_s()
        known = self._ticked_s
        self._ticked_s = {
            partition.place: known.get(partition.place, -_SELDOM_S) for partition in partitions
        }
        wanted: list[tuple[InputPartition, bool]] = []
        for partition in partitions:
            if partition.route.tick is None:
                continue
            # Keys that are due by log time are due, even where our own clock is behind log time.
            now_ms = max(self._own.now_ms(), partition.log_time_ms)
            is_quiet = now_s - self._ticked_s[partition.place] >= _SELDOM_S
            is_due = partition.state.next_due_ms <= now_ms
            if is_due or partition.behind_ms > JUMP_MS or (partition.log_time_ms and is_quiet):
                wanted.append((partition, is_due))
        elsewhere = await self._elsewhere([partition for partition, is_due in wanted if is_due])
        for partition, _ in wanted:
            tick = partition.route.tick
            if tick is not None and partition not in elsewhere:
                self._ticked_s[partition.place] = now_s
                # Its delivery is not waited for: if this tick is lost, another one follows.
                await self._send(producer, tick, partition.topic, partition.number)

    async def _elsewhere(self, due: Sequence[InputPartition]) -> set[InputPartition]:
        """Return those partitions in which another process looks at what is due, as it tells."""
        asked = [(one, one.route.turn) for one in due if one.route.turn is not None]
        turns = await asyncio.gather(*(turn(one.number) for one, turn in asked))
        found = set()
        for (one, _), turn in zip(asked, turns, strict=True):
            self._observer.turn(one.route.role, turn)
            if turn is False:
                found.add(one)
        return found

    async def _send(
        self,
        producer: AIOKafkaProducer,
        tick: Tick,
        topic: str,
        partition: int,
        *,
        asks_only: bool = False,
    ) -> asyncio.Future[Any] | None:
        sent = self._watch.send()
        key, value = tick.record(0 if asks_only else sent.at_ms)
        try:
            answer: asyncio.Future[Any] = await producer.send(
                topic, value, key=key, partition=partition
            )
        except KafkaError as error:
            self._observer.log.warning(
                "a tick could not be appended to %s-%d: %r", topic, partition, error
            )
            return None
        leader = producer.client.cluster.leader_for_partition(TopicPartition(topic, partition))
        answer.add_done_callback(partial(self._answered, leader, sent))
        return answer

    def _answered(self, leader: Any, sent: Sent, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled() or answer.exception() is not None:
            return
        record = answer.result()
        broker = self._names().get(leader)
        if broker is not None and record.timestamp_type == _LOG_APPEND_TIME:
            self._watch.note(broker, sent, record.timestamp)

    def _names(self) -> dict[int, str]:
        assert self._producer is not None
        brokers = self._producer.client.cluster.brokers()
        return {broker.nodeId: f"{broker.host}:{broker.port}" for broker in brokers}

    def _brokers(self) -> set[str]:
        return set(self._names().values())

    async def _ask(self, brokers: set[str]) -> None:
        """Ask these brokers for their time: send each a tick without a time, await the answers.

        The tick goes to one of the partitions that the broker leads.
        """
        producer = self._producer
        assert producer is not None
        asked = []
        names = self._names()
        for topic, tick in self._ticks.items():
            try:
                partitions = sorted(await producer.partitions_for(topic))
            except KafkaError as error:
                self._observer.log.warning(
                    "nobody tells which brokers lead topic %s: their clocks are not asked: %r",
                    topic,
                    error,
                )
                continue
            for number in partitions:
                leader = producer.client.cluster.leader_for_partition(
                    TopicPartition(topic, number)
                )
                if (name := names.get(leader)) in brokers:
                    brokers = brokers - {name}
                    answer = await self._send(producer, tick, topic, number, asks_only=True)
                    if answer is not None:
                        asked.append(answer)
        if asked:
            await asyncio.wait(asked, timeout=_ASK_S)

    async def _judge(self) -> None:
        """Report how far the clocks are apart; raise WorkerMustEnd where our own is in doubt."""
        brokers = self._brokers()
        verdict = self._watch.verdict(len(brokers))
        if verdict.own and (silent := self._watch.silent(brokers)):
            await self._ask(silent)
            verdict = self._watch.verdict(len(brokers))
        self._observer.clocks(self._watch.offsets_s(), verdict.off)
        if verdict.own:
            message = (
                f"this worker's clock and the brokers' are more than {LIMIT_MS // 1000} s apart "
                f"(theirs minus ours: {verdict.own}): holds would end at the wrong time. Set this "
                "machine's clock (NTP; for instance `chronyc makestep`) and start the worker "
                "again; if it is right, it is the brokers' that must be set"
            )
            raise WorkerMustEnd(message)
