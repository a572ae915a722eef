"""Every fault of the library, drawn by a seed, on the real seats under load, judged by the audit.

    CHAOS_SECONDS=7200 CHAOS_SEED=3 pytest -s -m soak tests/integration/test_chaos_of_all_faults.py

What was drawn is printed; the same seed draws the same faults in the same order.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Producer
from faults.blocked_loop import blocked_loop
from faults.group_answers import (
    COORDINATOR_LOAD_IN_PROGRESS,
    COORDINATOR_NOT_AVAILABLE,
    GROUP_AUTHORIZATION_FAILED,
    NOT_COORDINATOR,
    GroupAnswers,
)
from faults.limits import file_size_limit, memory_limit
from faults.proxy import (
    ADD_OFFSETS_TO_TXN,
    END_TXN,
    PRODUCE,
    TXN_OFFSET_COMMIT,
    Proxy,
    Way,
    broker_behind_proxy,
)
from integration.conftest import FAST_SESSIONS
from integration.workers import ROOT, SESSION_TIMEOUT_S, Worker

from infra.stack import QUICK_RESTART, Stack
from infra.stack.processes import Child, child_environment, wait_until
from schemas.topics import RESERVATION_OUTCOMES, SECTION_COMMANDS, SECTION_STATUS
from scripts.addresses import Servers
from scripts.demo_faults import copy_stores, damage_stores
from scripts.group_offsets import OffsetsUnknown, rest
from streams.runtime.failpoints import NAMES
from streams.settings import Settings

SECONDS = float(os.environ.get("CHAOS_SECONDS", "600"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
REST_S = 240.0
PARTITIONS = 6
RATE = 300
TICK_MS = 500
WAVE_S = 60

pytestmark = [pytest.mark.soak, pytest.mark.timeout(SECONDS + 900)]


@dataclass
class Arena:
    """The servers, the workers, and who sends commands to them, in waves of an event each."""

    stack: Stack
    proxy: Proxy
    directory: Path
    draw: random.Random
    answers: GroupAnswers = field(default_factory=GroupAnswers)
    workers: list[Worker] = field(default_factory=list)
    events: int = 0
    buyers: Child | None = None

    @property
    def where(self) -> Servers:
        return Servers(f"127.0.0.1:{self.proxy.port}", self.stack.registry_url)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **child_environment(),
            "PYTHONPATH": str(ROOT),
            "KAFKA_BROKERS": self.where.brokers,
            "SCHEMA_REGISTRY_URL": self.where.registry_url,
        }

    def script(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", f"scripts.{name}", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def keep_going(self) -> None:
        """Start again what has ended: workers as a supervisor does, buyers with a new event."""
        for worker in self.workers:
            if worker.child is not None and not worker.child.is_alive():
                worker.ended(0)
            if worker.child is None:
                worker.start("topology")
        if self.buyers is None or not self.buyers.is_alive():
            self.events += 1
            command = [sys.executable, "-m", "scripts.load_test", "--event-id", str(self.events)]
            command += ["--sections", "20", "--rows", "10", "--seats", "30", "--hold-ms", "2000"]
            command += ["--commands", str(RATE * WAVE_S), "--rate", str(RATE)]
            command += ["--seed", str(self.events)]
            log = self.directory / "buyers.log"
            self.buyers = Child(command, ROOT, log, self.environment)

    def go_on_for(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > end_s, seconds + 1)

    def a_worker(self) -> Worker:
        """Return a worker that runs."""
        self.keep_going()
        return self.draw.choice(self.workers)

    def is_at_rest(self) -> bool:
        """Say whether all is decided, and no tick comes: nothing is held any more."""
        self.keep_going_without_buyers()
        try:
            before = rest(self.where, Settings().app_id)
            self.go_on_for(4 * TICK_MS / 1000)
            return not before.behind and before == rest(self.where, Settings().app_id)
        except OffsetsUnknown:
            return False

    def keep_going_without_buyers(self) -> None:
        if self.buyers is not None:
            self.buyers.signal(signal.SIGTERM)
            self.buyers.finish(30)
        for worker in self.workers:
            if worker.child is not None and not worker.child.is_alive():
                worker.ended(0)
            if worker.child is None:
                worker.start("topology")


# Workers.


def kill(arena: Arena) -> None:
    arena.a_worker().kill()


def kill_all(arena: Arena) -> None:
    for worker in arena.workers:
        arena.a_worker()
        worker.kill()


def leave(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.process.signal(signal.SIGTERM)


def pause(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.pause()
    arena.go_on_for(arena.draw.uniform(0.2, 2.5 * SESSION_TIMEOUT_S))
    worker.resume()


def lose_the_disk(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    worker.wipe()


def damage_the_stores(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    damage_stores(worker.stores, arena.draw)


def bring_older_stores_back(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    copy = worker.stores.with_name("stores-copy")
    if copy.exists() and arena.draw.random() < 0.5:
        copy_stores(copy, worker.stores)
    else:
        copy_stores(worker.stores, copy)


def block_the_loop(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    seconds = arena.draw.uniform(1, 3 * SESSION_TIMEOUT_S)
    place = arena.draw.choice(NAMES)
    worker.start("topology", **blocked_loop(seconds, at=place, nth=arena.draw.randint(1, 20)))


def die_at_a_place(arena: Arena) -> None:
    worker = arena.a_worker()
    worker.kill()
    place, nth = arena.draw.choice(NAMES), arena.draw.randint(1, 20)
    worker.start("topology", FAILPOINTS=f"{place}:kill:{nth}")


def fill_the_disk_of_a_worker(arena: Arena) -> None:
    with file_size_limit(arena.a_worker().process.pid, 4096):
        arena.go_on_for(arena.draw.uniform(1, 5))


def leave_no_memory(arena: Arena) -> None:
    with memory_limit(arena.a_worker().process.pid, 1 << 20):
        arena.go_on_for(arena.draw.uniform(1, 3))


# The broker, and the way to it.


def kill_the_broker(arena: Arena) -> None:
    arena.stack.kill_broker()
    arena.go_on_for(arena.draw.uniform(0, 3))
    arena.stack.start_broker()


def pause_the_broker(arena: Arena) -> None:
    arena.stack.pause_broker()
    arena.go_on_for(arena.draw.uniform(0.5, 8))
    arena.stack.resume_broker()


def fill_the_disk_of_the_broker(arena: Arena) -> None:
    # Segments that are longer than this cannot grow; a broker that gives up is started again.
    with file_size_limit(arena.stack.broker_pids[1], 1 << 20):
        arena.go_on_for(arena.draw.uniform(1, 4))
    arena.stack.kill_broker()
    arena.stack.start_broker()


def cut_one_way(arena: Arena) -> None:
    with arena.proxy.cut(arena.draw.choice([Way.TO_BROKER, Way.TO_CLIENT])):
        arena.go_on_for(arena.draw.uniform(0.5, 8))


def slow_down_the_link(arena: Arena) -> None:
    chance = random.Random(arena.draw.random())
    arena.proxy.delay_s = lambda _key, _request: (
        chance.uniform(0.02, 0.4) if chance.random() < 0.2 else 0.0
    )
    arena.go_on_for(arena.draw.uniform(1, 6))
    arena.proxy.delay_s = lambda _key, _request: 0.0


def lose_answers(arena: Arena) -> None:
    key = arena.draw.choice([PRODUCE, END_TXN, TXN_OFFSET_COMMIT, ADD_OFFSETS_TO_TXN])
    group = Settings().app_id.encode()
    arena.proxy.silences = lambda asked, request: asked == key and group in request[:300]
    arena.go_on_for(arena.draw.uniform(0.5, 3))
    arena.proxy.silences = lambda _key, _request: False


def answer_for_the_group_wrongly(arena: Arena) -> None:
    """Let a takeover meet a coordinator that loads or moves."""
    codes = (
        COORDINATOR_LOAD_IN_PROGRESS,
        COORDINATOR_NOT_AVAILABLE,
        NOT_COORDINATOR,
        GROUP_AUTHORIZATION_FAILED,
    )
    times = arena.draw.randint(1, 5)
    arena.answers.say(Settings().app_id, arena.draw.choice(codes), times=times)
    arena.a_worker().kill()


def lose_the_registry(arena: Arena) -> None:
    arena.stack.stop_registry()
    arena.go_on_for(arena.draw.uniform(0, 3))
    arena.stack.start_registry()


def let_strangers_write(arena: Arena) -> None:
    """Append records that are none of ours where readers must pass them over."""
    producer = Producer({"bootstrap.servers": arena.where.brokers, "message.timeout.ms": 20_000})
    topics = (SECTION_COMMANDS, RESERVATION_OUTCOMES, SECTION_STATUS)
    values = (None, b"", b"hello", b"\x00\xff\xff\xff\xffx", b"\x00\x00\x00\x00\x01" + b"\xff" * 9)
    for topic in topics:
        value, key = arena.draw.choice(values), arena.draw.choice([None, b"", b"stranger"])
        place = arena.draw.randrange(PARTITIONS)
        producer.produce(topic.name, value, key, place, headers=[("é" * 9, b"\xff")])
    producer.flush(30)


FAULTS: Mapping[str, Callable[[Arena], None]] = {
    function.__name__: function
    for function in (
        kill,
        kill_all,
        leave,
        pause,
        lose_the_disk,
        damage_the_stores,
        bring_older_stores_back,
        block_the_loop,
        die_at_a_place,
        fill_the_disk_of_a_worker,
        leave_no_memory,
        kill_the_broker,
        pause_the_broker,
        fill_the_disk_of_the_broker,
        cut_one_way,
        slow_down_the_link,
        lose_answers,
        answer_for_the_group_wrongly,
        lose_the_registry,
        let_strangers_write,
    )
}


@contextmanager
def arena_of(directory: Path) -> Iterator[Arena]:
    properties = {**QUICK_RESTART, **FAST_SESSIONS}
    with broker_behind_proxy("tests-chaos", properties, "registry") as (stack, proxy):
        arena = Arena(stack, proxy, directory, random.Random(SEED))
        proxy.rewrite = arena.answers
        for script in (
            ("create_topics", "--partitions", str(PARTITIONS)),
            ("register_schemas", "register"),
        ):
            done = arena.script(*script)
            assert done.returncode == 0, done.stdout + done.stderr
        settings = {
            "KAFKA_BROKERS": arena.where.brokers,
            "SCHEMA_REGISTRY_URL": arena.where.registry_url,
            "SEATSTREAM_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            "SEATSTREAM_TICK_MS": str(TICK_MS),
        }
        arena.workers = [Worker(name, directory, settings) for name in ("one", "two")]
        try:
            yield arena
        finally:
            if arena.buyers is not None:
                arena.buyers.kill()
            for worker in arena.workers:
                if worker.child is not None:
                    worker.kill()


def test_no_seat_is_lost_or_sold_twice_whatever_happens(tmp_path: Path) -> None:
    done: list[str] = []
    with arena_of(tmp_path) as arena:
        arena.keep_going()
        for worker in arena.workers:
            worker.wait_ready()
        end_s = time.monotonic() + SECONDS
        while time.monotonic() < end_s:
            name = arena.draw.choice(sorted(FAULTS))
            done.append(name)
            print(f"{SECONDS - (end_s - time.monotonic()):6.0f} s  {name}", flush=True)  # noqa: T201 - what a failure needs
            FAULTS[name](arena)
            arena.go_on_for(arena.draw.uniform(0.5, 6))
            arena.keep_going()
        tails = "\n".join(worker.tail() for worker in arena.workers)
        assert wait_until(arena.is_at_rest, REST_S), tails
        assert [worker.terminate(60) for worker in arena.workers] == [0, 0]
        report = arena.script("audit", "--json")
        verdict = json.loads(report.stdout)
        assert verdict["verdict"] == "exact", f"{done}\n{report.stdout}"
        assert verdict["commands"] > 0
        assert verdict["held"] == 0, "seats are stranded"
