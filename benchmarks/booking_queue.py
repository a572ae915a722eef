"""Measure the booking queue at a real Redis, started for the purpose.

Scenarios (all, without any named):
  passed  items enter, are looked at, taken and completed, by so many at once: operations a second
          and their latency, and the memory of one that waits
  script  one script of each kind in a queue that is nearly full: the server's own time

It goes through a pod's one connection. Every figure is the median of the runs, with the least and
the most. Nothing is asserted; targets stand beside the figures. No log decides anything here, and
no gRPC is between. The machine should do nothing else meanwhile.

Example: .venv/bin/python -m benchmarks.booking_queue passed --runs 3 --out /tmp/queue.json
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from benchmarks.measuring import bench as measuring
from benchmarks.measuring import machine
from benchmarks.measuring.figures import Run, Scenario, Target, latencies
from benchmarks.measuring.redis_bench import PACKAGES, RedisBench, patient_line, script_us
from state.domain.booking_queue.figures import LENGTH_MAX
from state.domain.booking_queue.queue import BookingQueue, Enqueued
from state.domain.booking_queue.wishes import Wish
from state.records.booking_queue.wishes import encoded
from state.redis.booking_queue.queue import RedisBookingQueue
from state.redis.client import client_of

EVENTS = count(1)
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


QUICK = Sizes(items=128, filled=200, scripts=20)


class Bench(RedisBench[Sizes]):
    """One invocation: what was asked for, and what was measured so far."""

    def passed(self) -> Scenario:
        sizes, url = self.sizes, self._redis()
        return Scenario(
            "passed",
            "items enter an event's queue, are looked at, taken and completed",
            {"items": sizes.items, "at_once": sizes.at_once},
            self._repeated("passed", lambda: asyncio.run(passed(url, sizes))),
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
    event, found = next(EVENTS), dict[str, float]()
    client = client_of(url, timeout_s=30.0)
    async with patient_line(url) as line:
        queue, items = RedisBookingQueue(line.ask), list[str]()

        async def enter(user: int) -> None:
            items.append(await _put(queue, event, user))

        async def carry_out(_: int) -> None:
            taken = await queue.take(event)
            assert taken is not None
            await queue.complete(taken, b'{"reason":"","reservation_id":"r"}')

        before = (await client.info("memory"))["used_memory"]
        steps: tuple[tuple[str, Sequence[Any], Callable[[Any], Awaitable[object]]], ...] = (
            ("enqueue", range(sizes.items), enter),
            ("look", items, queue.look),
            ("take_and_complete", range(sizes.items), carry_out),
        )
        for name, those, act in steps:
            measured = await _all(those, sizes.at_once, act)
            found |= {f"{name}_{figure}": value for figure, value in measured.items()}
            after = (await client.info("memory"))["used_memory"]
            if name != "look":
                found[f"bytes_each_after_{name}"] = (after - before) / sizes.items
        found["unanswered"] = line.unanswered
    await client.flushall()
    await client.aclose()
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
SCENARIOS: Mapping[str, Callable[[Bench], Scenario]] = {
    "passed": Bench.passed,
    "script": Bench.script,
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; exits with a usage message otherwise."""
    parser = measuring.parser_of("booking_queue", __doc__, "items")
    return measuring.parsed(parser, arguments, SCENARIOS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios; write the result file after each; print tables."""
    options = parse(arguments)
    bench = Bench.asked_for(options, QUICK if options.quick else Sizes())
    versions = machine.versions(PACKAGES)
    return measuring.measure_all("booking_queue", bench, SCENARIOS, options, versions)


if __name__ == "__main__":
    sys.exit(main())
