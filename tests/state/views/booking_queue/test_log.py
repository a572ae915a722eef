"""The queue at a real broker: the suite, workers that are killed, and a pod that starts anew."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from confluent_kafka import Producer
from support.booking_queue.log_in_memory import LinesHands
from support.booking_queue.suite import CASES, LENGTH_MAX, filled, seen
from support.pods.conditions import until
from support.redis.events import EVENTS

from infra.paths import ROOT
from schemas.topics import BOOKING_QUEUE
from scripts.auditing.booked.folding import folded
from scripts.auditing.booked.judging import Booked, judge_bookings
from scripts.auditing.log import Log
from scripts.auditing.report import Report
from scripts.auditing.schemas import Avro, WireFormat
from scripts.auditing.topics import read_topic, reading
from scripts.brokers.addresses import Servers
from state.domain.booking_queue.figures import LEASE_MS, REQUEST_BYTES_MAX
from state.domain.booking_queue.queue import BookingQueue, Enqueued
from state.domain.booking_queue.statuses import ItemStatus
from state.kafka.command_log import CommandLog
from state.records.booking_queue.commands import CleanLine
from state.records.event import event_key
from state.views.booking_queue.log import BookingLog
from state.views.booking_queue.queue import KafkaBookingQueue
from state.views.following.live import PINS_ONLY, NotReady

WAIT_S = 60
# Of the clients, so that a test can say what the time of the log is.
OF_CLIENTS = {"message.timestamp.type": "CreateTime"}

WORKER = """
import asyncio, sys
from state.domain.booking_queue.wishes import Carried
from state.kafka.command_log import CommandLog
from state.records.booking_queue.wishes import encoded_outcome
from state.views.booking_queue.log import BookingLog
from state.views.booking_queue.queue import KafkaBookingQueue

async def work(brokers, topic, event, how):
    log = CommandLog(brokers, topic=topic)
    log.start()
    with BookingLog(brokers, topic=topic) as lines:
        await asyncio.to_thread(lines.wait_ready, 60)
        while not log.is_ready():
            await asyncio.sleep(0.05)
        queue = KafkaBookingQueue(lines, log, lines.codecs)
        while (taken := await queue.take(int(event))) is not None:
            print(taken.item.id, flush=True)
            if how == "hangs":
                await asyncio.sleep(600)
            outcome = encoded_outcome(Carried("r-" + taken.item.id, ""))
            await queue.complete(taken, outcome)
    await log.close()

asyncio.run(work(*sys.argv[1:]))
"""


@asynccontextmanager
async def pod_at(
    brokers: str, topic: str, **options: int
) -> AsyncIterator[tuple[KafkaBookingQueue, BookingLog]]:
    """Give the queue of a pod that has read all."""
    log = CommandLog(brokers, topic=topic)
    log.start()
    with BookingLog(brokers, topic=topic, **options) as lines:  # type: ignore[arg-type]
        await asyncio.to_thread(lines.wait_ready, WAIT_S)
        await until(log.is_ready, WAIT_S)
        yield KafkaBookingQueue(lines, log, lines.codecs, answer_s=WAIT_S), lines
    await log.close()


def audited(brokers: str, topic: str, held: Booked) -> Report:
    """Return what the audit makes of a topic of the queue; held: reservations that the log has."""
    own, report = PINS_ONLY.ids().known(), Report()
    writers = {one.schema_id: (one.record.rpartition(".")[2], None) for one in own}
    wire = WireFormat(Avro(), writers)
    log = Log(wire, 1)
    with reading(Servers(brokers, "")) as consumer:
        records = read_topic(consumer, replace(BOOKING_QUEUE, name=topic))
    log.lines = folded(wire, records, {})
    judge_bookings(log, held, report)
    return report


def test_nothing_is_connected_to_before_the_start_and_no_broker_is_told() -> None:
    lines = BookingLog("127.0.0.1:1")
    assert not lines.is_ready()
    lines.close()
    with BookingLog("127.0.0.1:1") as started, pytest.raises(NotReady):
        started.wait_ready(0.05)


@pytest.mark.kafka
def test_a_queue_at_a_broker_keeps_to_the_suite(
    kafka_brokers: str, new_topic: Callable[..., str]
) -> None:
    async def go() -> None:
        topic = new_topic("queue", 1, config=BOOKING_QUEUE.configs())
        async with pod_at(kafka_brokers, topic, length_max=LENGTH_MAX) as (queue, lines):
            for case in CASES:
                await case(queue, LinesHands(lines))
            # A crowd's requests travel in one batch.
            event, crowd = next(EVENTS), [f"u-{at}" for at in range(100)]
            large = b"x" * REQUEST_BYTES_MAX
            came = await asyncio.gather(
                *(queue.enqueue(event, user, "k", large) for user in crowd)
            )
            assert sum(isinstance(one, Enqueued) for one in came) == LENGTH_MAX

    asyncio.run(go())


@pytest.mark.kafka
def test_i22_what_a_killed_worker_had_is_carried_out_by_another_and_a_new_pod_knows_all(
    kafka_brokers: str, new_topic: Callable[..., str]
) -> None:
    """Killed between take and outcome: once the log is so late, their leases have ended.

    What the audit reads in the topic is exact.
    """
    topic, event = new_topic("queue", 1, config=OF_CLIENTS), next(EVENTS)

    def worker(how: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", WORKER, kafka_brokers, topic, str(event), how]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8")

    async def check(queue: BookingQueue, items: list[str]) -> None:
        found = [await seen(queue, item) for item in items]
        assert {item.status for item in found} == {ItemStatus.COMPLETED}
        assert [item.attempts for item in found] == [2, 2, 1, 1]
        assert (await queue.standing(event)).completed == len(items)

    async def go() -> None:
        async with pod_at(kafka_brokers, topic) as (queue, lines):
            items = await filled(queue, event, 4)
            had = []
            for _ in range(2):
                with worker("hangs") as dying:
                    assert dying.stdout is not None
                    had.append((await asyncio.to_thread(dying.stdout.readline)).strip())
                    dying.kill()
                    dying.wait(WAIT_S)
            assert had == items[:2]
            assert (await queue.standing(event)).taken == 2
            value = lines.codecs.encoded(CleanLine(b"", event))
            late_ms = int(1000 * time.time()) + LEASE_MS + 1
            producer = Producer({"bootstrap.servers": kafka_brokers})
            producer.produce(topic, value, event_key(event), timestamp=late_ms)
            assert producer.flush(WAIT_S) == 0
            with worker("settles") as living:
                told, _ = await asyncio.to_thread(living.communicate, timeout=WAIT_S)
            assert told.split() == items
            # What another process did this one knows as soon as it has read it.
            assert await lines.certain(event, WAIT_S)
            await check(queue, items)
        async with pod_at(kafka_brokers, topic) as (anew, _):
            await check(anew, items)
            held = {f"r-{item}": (event, (await seen(anew, item)).user_id) for item in items}
        report = audited(kafka_brokers, topic, held)
        assert not report.violations
        assert not report.foreign
        assert (report.queues, report.queued) == (1, 0)
        # Of seats that the log has not the same audit tells.
        [lost] = audited(kafka_brokers, topic, dict(list(held.items())[1:])).violations
        assert lost.anomaly == "no such reservation in the log"

    asyncio.run(go())
