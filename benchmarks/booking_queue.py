"""Measure the booking queue at a real Redis and at a real broker, started for the purpose.

Scenarios (all, without any named):
  passed  items enter, are looked at, taken and completed, by so many at once: operations a second
          and their latency, and the memory of one that waits
  logged  the same in Kafka, with the memory of this process; then a pod reads all of that anew
  script  one script of each kind in a queue that is nearly full: the server's own time
  sale    5,000 seats, sold over gRPC with a worker and its log behind, to 10,000 buyers who come
          within 10 s and wait until they know: latencies with the wait included

The first three go through a pod's one connection: no log decides anything there, and no gRPC is
between. Every figure is the median of the runs, with the least and the most. Nothing is asserted,
but that the log of a sale is exact; targets stand beside the figures. The machine should do
nothing else meanwhile.

Example: .venv/bin/python -m benchmarks.booking_queue sale --runs 1 --out /tmp/queue.json
"""

import argparse
import asyncio
import shutil
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, ClassVar

import psutil
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.measuring import bench as measuring
from benchmarks.measuring.cluster import Cluster
from benchmarks.measuring.figures import Run, Scenario, Target, latencies
from benchmarks.measuring.redis_bench import RedisBench, patient_line, script_us
from benchmarks.queue_runs import sale as sales
from infra.stack import Stack, ephemeral_stack
from schemas.topics import BOOKING_QUEUE
from scripts.contracts.topics import wait_until_led
from state.domain.booking_queue.figures import LENGTH_MAX
from state.domain.booking_queue.queue import BookingQueue, Enqueued
from state.domain.booking_queue.wishes import Wish
from state.kafka.command_log import CommandLog
from state.records.booking_queue.wishes import encoded
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.client import client_of
from state.views.booking_queue.log import BookingLog
from state.views.booking_queue.queue import KafkaBookingQueue

EVENTS = count(1)
CLIENTS_MAX = 100_000
WISH = encoded(Wish("A-1", ((10, 4), (10, 5)), 2, 9_000, "EUR", (("shop", "web"),))) or b""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each scenario does.

    items: that pass the queue. at_once: callers, and workers. filled: items in the queue that
    scripts are measured in; scripts: of each kind.
    """

    items: int = 20_000
    at_once: int = 64
    filled: int = LENGTH_MAX - 10_000
    scripts: int = 1_000
    sale: sales.Sizes = field(default_factory=sales.Sizes)


QUICK = Sizes(items=128, filled=200, scripts=20, sale=sales.QUICK)


class Bench(RedisBench[Sizes]):
    """One invocation: what was asked for, and what was measured so far."""

    PACKAGES: ClassVar[tuple[str, ...]] = (*RedisBench.PACKAGES, "grpcio")

    _stack: Stack | None = None

    def _kafka(self) -> Stack:
        """Return a broker that was just started, or runs already, with registry and Redis."""
        if self._stack is None:
            self.progress.step("starting a broker")
            parts = {"kafka", "registry", "redis"}
            stack = ephemeral_stack("bench-log", parts=parts, fast_jit=self._is_quick)
            self._stack = self._running.enter_context(stack)
        return self._stack

    def passed(self) -> Scenario:
        sizes, url = self.sizes, self._redis()
        return Scenario(
            "passed",
            "items enter an event's queue, are looked at, taken and completed",
            {"items": sizes.items, "at_once": sizes.at_once},
            self._repeated("passed", lambda: asyncio.run(passed(url, sizes))),
        )

    def logged(self) -> Scenario:
        sizes, brokers = self.sizes, self._kafka().kafka_brokers
        return Scenario(
            "logged",
            "items enter an event's queue in Kafka, are looked at, taken and completed; read anew",
            {"items": sizes.items, "at_once": sizes.at_once},
            self._repeated("logged", lambda: asyncio.run(logged(brokers, sizes))),
        )

    def script(self) -> Scenario:
        sizes, url = self.sizes, self._redis()
        return Scenario(
            "script",
            f"scripts in a queue of {sizes.filled:,} items: the server's own time of each",
            {"filled": sizes.filled, "scripts": sizes.scripts},
            self._repeated("script", lambda: asyncio.run(script(url, sizes))),
            (Target("take_us", at_most=5_000),),
        )

    def sale(self) -> Scenario:
        sizes, stack = self.sizes.sale, self._kafka()
        cluster, reasons = Cluster(stack, stack.directory), Counter[str]()

        def run(sizes: sales.Sizes) -> Run:
            self._serial += 1
            place = stack.directory / f"sale-{self._serial}"
            sale = sales.Sale(cluster, place, sizes, self._seed, self.progress)
            found = sale.run()
            shutil.rmtree(place)
            reasons.update(sale.reasons)
            return found

        if not self._is_quick:
            self.progress.step("sale: a small one warms the broker up, not counted")
            run(replace(sales.QUICK, queue=sizes.queue))
            reasons.clear()
        runs = [run(sizes) for _ in self._counted("sale")]
        return Scenario(
            "sale",
            "seats that are sold through the queue over gRPC, with the log behind, to their end",
            sizes.document(),
            runs,
            (
                Target("sold", at_least=sizes.arena.seats),
                Target("sold_twice", at_most=0),
                Target("refused_otherwise", at_most=0),
                Target("unknown", at_most=0),
            ),
            {"refused_by_reason": dict(reasons)},
        )


async def _all(
    items: Sequence[Any], at_once: int, act: Callable[[Any], Awaitable[object]]
) -> dict[str, float]:
    """Do something with each item, so many at once; return how fast it went."""
    left, took_ms = iter(items), list[float]()

    async def one() -> None:
        for item in left:
            began_s = time.perf_counter()
            await act(item)
            took_ms.append((time.perf_counter() - began_s) * 1000)

    began_s = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(at_once)))
    lasted_s = time.perf_counter() - began_s
    told = latencies(sorted(took_ms))
    return {
        "per_s": len(took_ms) / lasted_s,
        "p50_ms": told["p50_ms"],
        "p99_ms": told["p99_ms"],
    }


async def _put(queue: BookingQueue, event: int, user: int) -> str:
    came = await queue.enqueue(event, f"user-{user:08}", "one-key", WISH)
    assert isinstance(came, Enqueued), came
    return came.item.id


async def passed(url: str, sizes: Sizes) -> Run:
    """Return how fast items enter, are looked at, and are taken and completed."""
    client = client_of(url, timeout_s=30.0)

    async def used() -> float:
        return float((await client.info("memory"))["used_memory"])

    async with patient_line(url) as line:
        found = await _passed(RedisBookingQueue(line.ask), next(EVENTS), sizes, used)
        found["unanswered"] = line.unanswered
    await client.flushall()
    await client.aclose()
    return found


async def _passed(
    queue: BookingQueue, event: int, sizes: Sizes, used: Callable[[], Awaitable[float]]
) -> dict[str, float]:
    """Have items pass a queue; used: returns the bytes that it takes."""
    items, found = list[str](), dict[str, float]()

    async def enter(user: int) -> None:
        items.append(await _put(queue, event, user))

    async def carry_out(_: int) -> None:
        taken = await queue.take(event)
        assert taken is not None
        await queue.complete(taken, b'{"reason":"","reservation_id":"r"}')

    before = await used()
    steps: tuple[tuple[str, Sequence[Any], Callable[[Any], Awaitable[object]]], ...] = (
        ("enqueue", range(sizes.items), enter),
        ("look", items, queue.look),
        ("take_and_complete", range(sizes.items), carry_out),
    )
    for name, those, act in steps:
        measured = await _all(those, sizes.at_once, act)
        found |= {f"{name}_{figure}": value for figure, value in measured.items()}
        if name != "look":
            found[f"bytes_each_after_{name}"] = (await used() - before) / sizes.items
    return found


async def logged(brokers: str, sizes: Sizes) -> Run:
    """Return how fast items pass a queue in Kafka, and how fast a new pod reads their records."""
    event = next(EVENTS)
    topic = f"booking-queue-{event}"
    admin = AdminClient({"bootstrap.servers": brokers})
    created = admin.create_topics([NewTopic(topic, 1, 1, config=BOOKING_QUEUE.configs())])
    created[topic].result(timeout=60)
    wait_until_led(admin, [topic])

    async def used() -> float:
        return float(psutil.Process().memory_info().rss)

    log = CommandLog(brokers, topic=topic)
    log.start()
    with BookingLog(brokers, topic=topic) as lines:
        await asyncio.to_thread(lines.wait_ready, 60)
        async with asyncio.timeout(60):
            while not log.is_ready():  # noqa: ASYNC110 (its thread tells nobody)
                await asyncio.sleep(0.05)
        queue = KafkaBookingQueue(lines, log, lines.codecs)
        found = await _passed(queue, event, sizes, used)
    await log.close()
    began_s = time.perf_counter()
    with BookingLog(brokers, topic=topic) as anew:
        await asyncio.to_thread(anew.wait_ready, 600)
        found["read_s"] = time.perf_counter() - began_s
        found["read_per_s"] = anew.counters.records / found["read_s"]
    return found


async def script(url: str, sizes: Sizes) -> Run:
    """Return the server's own time of each script in a queue that is nearly full, us."""
    event, took = next(EVENTS), dict[str, float]()
    client = client_of(url, timeout_s=30.0)
    async with patient_line(url) as line:
        filling = RedisBookingQueue(line.ask)
        await _all(range(sizes.filled), sizes.at_once, lambda user: _put(filling, event, user))
    queue = RedisBookingQueue(client.execute_command)
    middle = await _put(queue, event, sizes.filled // 2)

    async def timed(name: str, asking: Awaitable[Any]) -> Any:
        before = await script_us(client)
        answer = await asking
        took[name] = took.get(name, 0.0) + await script_us(client) - before
        return answer

    for turn in range(sizes.scripts):
        item = await timed("enqueue", _put(queue, event, sizes.filled + turn))
        await timed("look", queue.look(middle))
        await timed("cancel", queue.cancel(item, f"user-{sizes.filled + turn:08}"))
        taken = await timed("take", queue.take(event))
        await timed("complete", queue.complete(taken, b"{}"))
    await client.flushall()
    await client.aclose()
    return {f"{name}_us": spent / sizes.scripts for name, spent in took.items()}


# In the order they are run.
SCENARIOS = measuring.by_name(Bench.passed, Bench.logged, Bench.script, Bench.sale)


def more_options(parser: argparse.ArgumentParser) -> None:
    """Add what only the sale asks for."""
    clients = f"of the sale, 1 to {CLIENTS_MAX:,} (default 10,000)"
    parser.add_argument("--clients", type=measuring.whole(1, CLIENTS_MAX), help=clients)
    parser.add_argument(
        "--in", dest="queue", choices=("redis", "kafka"), default="redis", help="of the sale"
    )


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Return how much is asked for."""
    sizes = QUICK if options.quick else Sizes()
    sale = replace(sizes.sale, queue=options.queue)
    if options.clients is not None:
        sale = replace(sale, crowd=replace(sale.crowd, clients=options.clients))
    return replace(sizes, sale=sale)


COMMAND = measuring.Command(
    "booking_queue",
    __doc__,
    "moments at which buyers come",
    Bench,
    sizes_of,
    SCENARIOS,
    more_options,
)
parse, main = COMMAND.parse, COMMAND.main


if __name__ == "__main__":
    sys.exit(main())
