"""The whole product under load, on one broker behind a proxy, for a run of many faults."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from faults.group_answers import GroupAnswers
from faults.proxy import Proxy, broker_behind_proxy
from faults.wrong_clock import WrongClock
from integration.conftest import FAST_SESSIONS
from integration.workers import ROOT, SESSION_TIMEOUT_S, Worker, run
from support.gateways.running import VARIABLES, RunningGateway

from infra.stack import QUICK_RESTART, Stack
from infra.stack.processes import Child, child_environment, wait_until
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import OffsetsUnknown, rest
from streams.settings import Settings

PARTITIONS = 6
RATE = 300
PAYERS = 60
TICK_MS = 500
WAVE_S = 60
PAYING = {
    "SEATSTREAM_ROLES": "seats,carts,payments",
    "SEATSTREAM_GATEWAY_CALL_S": "2",
    "SEATSTREAM_CIRCUIT_OPEN_S": "2",
    "SEATSTREAM_CALLS_END_S": "0.5",
}
"""Of workers that take payments: a call that hangs is soon given up."""


@dataclass
class Arena:
    """The servers, the workers, and who sends commands to them, in waves of an event each.

    clocks: of the workers, by name. gateway: where buyers pay; None where they do not.
    """

    stack: Stack
    proxy: Proxy
    directory: Path
    draw: random.Random
    answers: GroupAnswers = field(default_factory=GroupAnswers)
    workers: list[Worker] = field(default_factory=list)
    clocks: dict[str, WrongClock] = field(default_factory=dict)
    gateway: RunningGateway | None = None
    events: int = 0
    buyers: Child | None = None

    @property
    def where(self) -> Servers:
        return Servers(f"127.0.0.1:{self.proxy.port}", self.stack.registry_url)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **child_environment(),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "KAFKA_BROKERS": self.where.brokers,
            "SCHEMA_REGISTRY_URL": self.where.registry_url,
        }

    def script(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return run(self.environment, f"scripts.{name}", *arguments)

    def keep_going(self) -> None:
        """Start again what has ended: workers as a supervisor does, buyers with a new event."""
        self.keep_workers_going()
        if self.buyers is None or not self.buyers.is_alive():
            self.events += 1
            log = self.directory / "buyers.log"
            command = [sys.executable, "-m", *self.wave()]
            self.buyers = Child(command, ROOT, log, self.environment)

    def wave(self) -> list[str]:
        """Return the program that buys seats of one event, and its arguments."""
        if self.gateway is not None:
            return ["integration.paying_buyers", str(self.events), str(PAYERS), str(WAVE_S)]
        command = ["scripts.load_test", "--event-id", str(self.events)]
        command += ["--sections", "20", "--rows", "10", "--seats", "30", "--hold-ms", "2000"]
        command += ["--commands", str(RATE * WAVE_S), "--rate", str(RATE)]
        return [*command, "--seed", str(self.events)]

    def go_on_for(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > end_s, seconds + 1)

    def a_worker(self) -> Worker:
        """Return a worker that runs."""
        self.keep_going()
        return self.draw.choice(self.workers)

    def is_at_rest(self) -> bool:
        """Say whether all is decided, and no tick comes: nothing is held any more."""
        self.end_sales()
        self.keep_workers_going()
        try:
            before = rest(self.where, Settings().app_id)
            self.go_on_for(4 * TICK_MS / 1000)
            return not before.behind and before == rest(self.where, Settings().app_id)
        except OffsetsUnknown:
            return False

    def end_sales(self) -> None:
        """Let the buyers go, with what they have sent."""
        if self.buyers is not None:
            self.buyers.signal(signal.SIGTERM)
            self.buyers.finish(30)

    def keep_workers_going(self) -> None:
        for worker in self.workers:
            if worker.child is not None and not worker.child.is_alive():
                worker.ended(0)
            if worker.child is None:
                worker.start("topology")


@contextmanager
def arena_of(directory: Path, seed: int, gateway: RunningGateway | None = None) -> Iterator[Arena]:
    """Give workers that run and an arena that will draw by a seed; nothing is left afterwards."""
    properties = {**QUICK_RESTART, **FAST_SESSIONS}
    with broker_behind_proxy("tests-chaos", properties, "registry") as (stack, proxy):
        arena = Arena(stack, proxy, directory, random.Random(seed), gateway=gateway)
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
            "SEATSTREAM_ROLES": "seats",
        }
        if gateway is not None:
            settings |= {**PAYING, **VARIABLES, "MOCK_GATEWAY_URL": gateway.process.url}
        for name in ("one", "two"):
            clock = arena.clocks[name] = WrongClock(directory / f"{name}-clock")
            arena.workers.append(Worker(name, directory, {**settings, **clock.environment}))
        try:
            yield arena
        finally:
            if arena.buyers is not None:
                arena.buyers.kill()
            for worker in arena.workers:
                if worker.child is not None:
                    worker.kill()
