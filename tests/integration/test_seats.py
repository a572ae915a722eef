"""F21, F24 on the seats themselves, judged by the auditor, which shares no code with them."""

import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from integration.conftest import FAST_SESSIONS
from integration.workers import (
    ENDED_ITSELF,
    ROOT,
    SESSION_TIMEOUT_S,
    Worker,
    committed_offsets,
    end_offsets,
    run,
)
from support.registries.filled import stack_with_schemas

from infra.stack import QUICK_RESTART
from infra.stack.processes import Child, child_environment, wait_until
from schemas.topics import SECTION_COMMANDS
from streams.runtime.process.failpoints import OF_RECORDS
from streams.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

RATE = 20
# They are drawn before the first is sent. All deaths are over after a fifth of it, but on a slow
# machine.
COMMANDS_MAX = 300 * RATE
PARTITIONS = 4
TICK_MS = 500


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Give the environment of scripts and workers: a broker and a registry of our own."""
    properties = {**QUICK_RESTART, **FAST_SESSIONS}
    with stack_with_schemas("tests-seats", kafka_properties=properties) as stack:
        yield {
            **child_environment(),
            "PYTHONPATH": str(ROOT),
            "KAFKA_BROKERS": stack.kafka_brokers,
            "SCHEMA_REGISTRY_URL": stack.registry_url,
        }


def script(servers: dict[str, str], name: str, *arguments: str) -> str:
    """Run a script; return what it printed, or fail with it."""
    done = run(servers, f"scripts.{name}", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def buyers(servers: dict[str, str], log: Path) -> Iterator[Child]:
    """Let people buy while the block runs; holds lapse after 2 s if they are not paid."""
    command = [sys.executable, "-m", "scripts.load_test", "--event-id", "7"]
    command += ["--sections", "20", "--rows", "10", "--seats", "50", "--hold-ms", "2000"]
    command += ["--commands", str(COMMANDS_MAX), "--rate", str(RATE), "--seed", "7"]
    child = Child(command, ROOT, log, servers)
    try:
        yield child
        assert child.is_alive(), child.output()
        # Not SIGINT: whoever runs the tests in the background has it ignored, and so has this.
        child.signal(signal.SIGTERM)
        assert child.wait(60) == -signal.SIGTERM, child.output()
    finally:
        child.kill()


def is_quiet(servers: dict[str, str]) -> bool:
    """Say whether every command in the log is decided, and no tick comes: nothing is held."""
    brokers, topic = servers["KAFKA_BROKERS"], SECTION_COMMANDS.name
    before = end_offsets(brokers, topic, PARTITIONS)
    time.sleep(3 * TICK_MS / 1000)
    committed = committed_offsets(brokers, Settings().app_id, topic, PARTITIONS)
    return before == committed == end_offsets(brokers, topic, PARTITIONS)


def test_f21_f24_no_seat_is_lost_or_sold_twice_by_kills_and_zombies(
    servers: dict[str, str], tmp_path: Path
) -> None:
    # Before, while and after a transaction is committed; all places have their turn in
    # test_kill.py.
    chance = random.Random(7)
    script(servers, "create_topics", "--partitions", str(PARTITIONS))
    environment = {
        **{name: servers[name] for name in ("KAFKA_BROKERS", "SCHEMA_REGISTRY_URL")},
        "SEATSTREAM_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
        "SEATSTREAM_TICK_MS": str(TICK_MS),
        "SEATSTREAM_ROLES": "seats",
    }
    victim, other = (Worker(name, tmp_path, environment) for name in ("victim", "other"))
    try:
        other.start("topology").wait_ready()
        with buyers(servers, tmp_path / "buyers.log"):
            for place in chance.sample(OF_RECORDS, 3):
                victim.start("topology", FAILPOINTS=f"{place}:kill:1")
                assert victim.ended() == -signal.SIGKILL, place
                if chance.random() < 0.5:
                    victim.wipe()
            victim.start("topology").wait_ready()
            assert wait_until(
                lambda: victim.metric("seatstream_partitions_owned") == PARTITIONS / 2, 60
            )
            victim.pause()
            assert wait_until(
                lambda: other.metric("seatstream_partitions_owned") == PARTITIONS, 60
            )
            victim.resume()
            assert victim.ended() == ENDED_ITSELF
            victim.start("topology").wait_ready()
            other.kill()
            other.wipe()
            other.start("topology").wait_ready()
        assert wait_until(lambda: is_quiet(servers), 60)
        assert [worker.terminate() for worker in (victim, other)] == [0, 0]
        report = script(servers, "audit")
        assert "exact" in report.lower(), report
    finally:
        for worker in (victim, other):
            if worker.child is not None:
                worker.kill()
