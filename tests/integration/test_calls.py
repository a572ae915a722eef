"""Effects outside Kafka, on a real broker, against a real server that keeps a ledger.

Whatever happens: every intent is performed at least once, always with its one idempotency key, and
applied exactly once.
"""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic
from integration.conftest import FAST_SESSIONS
from integration.destinations import Ledger, serving
from integration.workers import (
    SESSION_TIMEOUT_S,
    Fleet,
    Worker,
    create_topics,
    producing,
    read_committed,
)

from infra.stack import QUICK_RESTART, ephemeral_stack
from infra.stack.processes import wait_until
from streams.runtime.process.failpoints import OF_INTENTS

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PATIENCE_S = 150.0
"""Bound of each wait: a machine may be many times slower than ours."""


@dataclass
class Callers(Fleet):
    """Workers of the calling topology.

    asked: ids of the intents that were asked for.
    """

    ledger: Ledger = field(default_factory=Ledger)
    asked: list[str] = field(default_factory=list)

    def create(self) -> None:
        names = [self.prefix + name for name in ("asked", "applied", "dead")]
        changelog = NewTopic(
            self.prefix + "changelog", self.partitions, config={"cleanup.policy": "compact"}
        )
        create_topics(
            self.brokers, [*(NewTopic(name, self.partitions) for name in names), changelog]
        )

    def call(self, *ids: str, destination: str = "bank", pause_ms: int = 0) -> None:
        """Ask for intents, spread over all partitions."""
        with producing(self.brokers) as producer:
            for name in ids:
                value = f"call {name} {destination} {pause_ms}"
                partition = len(self.asked) % self.partitions
                producer.produce(self.prefix + "asked", value, name, partition)
                self.asked.append(name)

    def start(self, worker: Worker, **environment: str) -> Worker:
        return worker.start("integration.callers", **environment)

    def applied(self) -> Counter[str]:
        records = read_committed(self.brokers, self.prefix + "applied", self.partitions)
        return Counter(record.key.decode() for record in records)

    def settle(self, timeout_s: float = PATIENCE_S, *, revive: bool = False) -> None:
        """Wait until all that was asked for is applied; bring the dead back if asked to."""

        def settled() -> bool:
            for worker in self.workers if revive else ():
                worker.revive("integration.callers")
            return self.applied().keys() >= set(self.asked)

        reached = wait_until(settled, timeout_s)
        tails = "\n".join(f"{worker.name}:\n{worker.tail()}" for worker in self.workers)
        assert reached, f"{len(self.applied())} of {len(self.asked)}\n{tails}"

    def check(self) -> None:
        """Each was performed under one key, at least once, and applied once."""
        assert self.applied() == Counter(self.asked)
        keys = {f"key-{name}" for name in self.asked}
        assert self.ledger.done == keys
        assert self.ledger.calls.keys() == keys


@contextmanager
def callers_on(brokers: str, prefix: str, directory: Path) -> Iterator[Callers]:
    ledger = Ledger()
    with serving(ledger) as port:
        environment = {
            "CALLING_URL": f"http://127.0.0.1:{port}",
            "SEATSTREAM_CALLS_END_S": "0.5",
            "SEATSTREAM_CALLS_PER_DESTINATION": "16",
        }
        fleet = Callers(brokers, prefix, directory, 2, environment, ledger=ledger)
        fleet.create()
        try:
            yield fleet
        finally:
            ledger.hold()
            fleet.stop()


@pytest.fixture
def callers(patient_brokers: str, topic_prefix: str, tmp_path: Path) -> Iterator[Callers]:
    with callers_on(patient_brokers, topic_prefix, tmp_path) as fleet:
        yield fleet


def numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def test_f56_a_kill_at_any_step_of_a_call_loses_nothing_and_applies_nothing_twice(
    callers: Callers,
) -> None:
    callers.environment["SEATSTREAM_SESSION_TIMEOUT_S"] = "1.5"
    worker = callers.worker("one")
    for life, place in enumerate(OF_INTENTS):
        callers.call(*numbered(f"{place}-", 20))
        callers.start(worker, FAILPOINTS=f"{place}:kill:2")
        assert worker.ended(PATIENCE_S, why=place) == -signal.SIGKILL
        if life % 2:
            worker.wipe()
    # And once more while the server has the call and nobody heard its answer.
    callers.ledger.hold("bank")
    callers.call("held")
    callers.start(worker)
    assert wait_until(lambda: bool(callers.ledger.waiting), PATIENCE_S), worker.tail()
    worker.kill()
    calls_before = {key: callers.ledger.calls[key] for key in callers.ledger.waiting}
    callers.ledger.hold()
    callers.start(worker).wait_ready()
    callers.settle()
    callers.check()
    assert all(callers.ledger.calls[key] > before for key, before in calls_before.items())
    assert wait_until(lambda: worker.metric("seatstream_open_intents") == 0, PATIENCE_S)
    assert worker.terminate() == 0


def test_f24_who_was_paused_in_a_call_applies_nothing_twice(callers: Callers) -> None:
    zombie, heir = callers.worker("zombie"), callers.worker("heir")
    callers.ledger.hold("bank")
    callers.start(zombie).wait_ready()
    callers.call(*numbered("i", 10))
    assert wait_until(lambda: len(callers.ledger.waiting) >= 10, PATIENCE_S), zombie.tail()
    callers.start(heir)
    zombie.pause()
    assert wait_until(
        lambda: heir.metric("seatstream_partitions_owned") == 2, 2 * SESSION_TIMEOUT_S + PATIENCE_S
    ), heir.tail()
    assert wait_until(lambda: len(callers.ledger.waiting) >= 20, PATIENCE_S), heir.tail()
    callers.ledger.hold()
    callers.settle()
    # Now its own calls are answered, and it does not know yet that it owns nothing.
    zombie.resume()
    assert wait_until(lambda: not zombie.is_alive() or zombie.is_ready(), PATIENCE_S)
    callers.call("after")
    callers.settle()
    callers.check()


def test_a_rebalance_in_a_call_leaves_it_to_the_next_owner(callers: Callers) -> None:
    first, second = callers.worker("first"), callers.worker("second")
    callers.ledger.hold("bank")
    callers.start(first).wait_ready()
    callers.call(*numbered("i", 10))
    assert wait_until(lambda: len(callers.ledger.waiting) >= 10, PATIENCE_S), first.tail()
    callers.start(second)
    assert wait_until(
        lambda: all(one.metric("seatstream_partitions_owned") == 1 for one in (first, second)),
        PATIENCE_S,
    ), second.tail()
    callers.ledger.hold()
    callers.settle()
    callers.check()


def test_a_destination_that_hangs_holds_up_no_other_nor_a_restart(callers: Callers) -> None:
    worker = callers.worker("one")
    callers.ledger.hold("bank")
    callers.start(worker).wait_ready()
    callers.call(*numbered("slow", 2_000))
    callers.call(*numbered("quick", 200), destination="post")
    quick = {f"quick{number}" for number in range(200)}
    assert wait_until(lambda: callers.applied().keys() == quick, PATIENCE_S), worker.tail()
    # However long it hangs, nothing of it shows on /ready, and the rest waits in the store.
    worker.wait_ready(PATIENCE_S)
    assert len(callers.ledger.waiting) >= 16
    # It leaves in spite of calls that hang, and goes on where it was.
    assert worker.terminate() == 0
    callers.ledger.hold()
    callers.start(worker).wait_ready()
    callers.settle()
    callers.check()


@pytest.mark.parametrize("trouble", ["fails", "is away"])
def test_f60_a_destination_in_trouble_is_left_alone_and_called_again(
    callers: Callers, trouble: str
) -> None:
    url = callers.environment["CALLING_URL"]
    port = 1 if trouble == "is away" else int(url.rpartition(":")[2])
    callers.ledger.fails = {"bank"}
    worker = callers.worker("one", SEATSTREAM_CIRCUIT_OPEN_S="0.5", CALLING_RETRY_MS="0")
    callers.start(worker, CALLING_URL=f"http://127.0.0.1:{port}").wait_ready()
    callers.call(*numbered("i", 50))
    assert wait_until(lambda: _called(worker, "NOT_TRIED") >= 50, PATIENCE_S), worker.tail()
    assert wait_until(lambda: worker.metric("seatstream_circuit_state") >= 1, PATIENCE_S)
    worker.wait_ready(PATIENCE_S)
    callers.ledger.fails = set()
    if trouble == "is away":
        assert worker.terminate() == 0
        callers.start(worker).wait_ready()
    callers.settle()
    callers.check()
    assert wait_until(lambda: worker.metric("seatstream_circuit_state") == 0, PATIENCE_S)


def test_f56_an_answer_waits_for_a_broker_that_died(topic_prefix: str, tmp_path: Path) -> None:
    properties = {**QUICK_RESTART, **FAST_SESSIONS}
    with (
        ephemeral_stack(
            "tests-calls", parts={"kafka"}, kafka_properties=properties, fast_jit=True
        ) as stack,
        callers_on(stack.kafka_brokers, topic_prefix, tmp_path) as callers,
    ):
        worker = callers.worker("one", SEATSTREAM_WATCHDOG="0")
        callers.ledger.hold("bank")
        callers.start(worker).wait_ready()
        callers.call(*numbered("i", 10))
        assert wait_until(lambda: len(callers.ledger.waiting) >= 10, PATIENCE_S), worker.tail()
        stack.kill_broker(1)
        callers.ledger.hold()
        assert wait_until(lambda: len(callers.ledger.done) == 10, PATIENCE_S)
        assert wait_until(
            lambda: "answers wait for the brokers" in worker.output() or not worker.is_alive(),
            PATIENCE_S,
        ), worker.tail()
        stack.start_broker(1)
        callers.settle(revive=True)
        callers.check()


def _called(worker: Worker, result: str) -> float:
    lines = worker.page("/metrics")[1].splitlines()
    told = [
        line for line in lines if line.startswith("seatstream_calls_total{") and result in line
    ]
    return sum(float(line.rpartition(" ")[2]) for line in told)


@pytest.mark.parametrize("machine", ["the same", "another"])
def test_due_times_survive_a_restart(callers: Callers, machine: str) -> None:
    worker = callers.worker("one")
    callers.start(worker).wait_ready()
    began_s = time.time()
    callers.call(*numbered("later", 4), pause_ms=6_000)
    callers.call("now")
    assert wait_until(lambda: "now" in callers.applied(), PATIENCE_S), worker.tail()
    assert worker.terminate() == 0
    if machine == "another":
        worker.wipe()
    callers.start(worker).wait_ready()
    callers.settle()
    callers.check()
    assert all(callers.ledger.first_s[f"key-later{number}"] >= began_s + 5 for number in range(4))
