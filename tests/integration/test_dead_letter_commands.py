"""Dead letters on a real broker: sent back once, whoever asks twice, at once, or is killed."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from integration.workers import LoggedRecord, producing, read_committed, run

from infra.paths import ROOT
from infra.stack import ephemeral_stack
from infra.stack.processes import wait_until
from schemas.topics import DEAD_LETTER_QUEUE, SECTION_COMMANDS, TOPICS
from scripts.auditing.topics import LogRecord
from scripts.brokers.addresses import Servers
from scripts.contracts.topics import carry_out, plan
from scripts.letters.letter import REDRIVEN_FROM, Letter
from scripts.letters.sending import read_letters
from state.domain.keys import partition_of
from streams.batch import DeadLetter
from streams.runtime.transactions.dead_letters import dead_letter_record

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(420)]

PARTITIONS = 4
KEYS = [b"1-A", b"1-B", b"1-C"]
OFFSETS = count()


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with ephemeral_stack("test-letters", parts={"kafka", "registry"}, fast_jit=True) as stack:
        admin = AdminClient({"bootstrap.servers": stack.kafka_brokers, "log_level": 2})
        carry_out(admin, plan(TOPICS, {}, PARTITIONS))
        yield os.environ | {
            "KAFKA_BROKERS": stack.kafka_brokers,
            "SCHEMA_REGISTRY_URL": stack.registry_url,
        }


def bury(brokers: str, cause: str, letters: int) -> list[bytes]:
    """Write dead letters under a cause of their own; return the values of their originals."""
    values = [f"{cause}-{number}".encode() for number in range(letters)]
    with producing(brokers) as producer:
        for number, value in enumerate(values):
            key = KEYS[number % len(KEYS)]
            partition = partition_of(key, PARTITIONS)
            own = (("own", value),)
            # An offset names one record.
            record: Any = LogRecord(next(OFFSETS), 1_700_000_000_000, key, value, own)
            letter = DeadLetter(record, cause, "why")
            dead = dead_letter_record(letter, SECTION_COMMANDS.name, partition)
            told: Any = dead[2]
            producer.produce(DEAD_LETTER_QUEUE.name, dead[1], dead[0], partition, headers=told)
    return values


def sent(brokers: str, cause: str) -> list[LoggedRecord]:
    records = read_committed(brokers, SECTION_COMMANDS.name, PARTITIONS)
    return [one for one in records if (one.value or b"").startswith(cause.encode())]


def redrive(environment: dict[str, str], cause: str, *more: str, code: int = 0) -> dict[str, Any]:
    words = ("dead-letters", "redrive", "--cause", cause, "--json", *more)
    done = run(environment, "scripts.program", *words)
    assert done.returncode == code, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_b83_a_dead_letter_is_sent_back_once_as_it_was_and_in_the_order_of_its_key(
    environment: dict[str, str],
) -> None:
    brokers = environment["KAFKA_BROKERS"]
    values = bury(brokers, "ONCE", 30)
    assert redrive(environment, "ONCE", "--dry-run", code=1)["sums"]["send"] == 30
    assert sent(brokers, "ONCE") == []
    assert redrive(environment, "ONCE", "--yes")["sent"] == 30
    assert redrive(environment, "ONCE", "--yes")["sent"] == 0
    found = sent(brokers, "ONCE")
    assert sorted(one.value or b"" for one in found) == sorted(values)
    for key in KEYS:
        of_key = [one for one in found if one.key == key]
        assert [one.value for one in of_key] == values[KEYS.index(key) :: len(KEYS)]
        assert {one.partition for one in of_key} == {partition_of(key, PARTITIONS)}
    for one in found:
        headers = dict(one.headers)
        assert headers["own"] == one.value
        assert headers[REDRIVEN_FROM].startswith(b"section-commands-")


def test_b83_two_who_send_at_once_send_each_record_once(environment: dict[str, str]) -> None:
    """Whoever starts last fences the other, which then ends with 2."""
    brokers = environment["KAFKA_BROKERS"]
    values = bury(brokers, "RACE", 60)
    words = ("dead-letters", "redrive", "--cause", "RACE", "--yes", "--rate", "40", "--json")
    command = [sys.executable, "-m", "scripts.program", *words]
    both = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for one in both:
            one.communicate(timeout=120)
    finally:
        for one in both:
            one.kill()
    assert min(one.returncode for one in both) == 0
    assert {one.returncode for one in both} <= {0, 2}
    assert Counter(one.value for one in sent(brokers, "RACE")) == Counter(values)


def test_b83_one_who_is_killed_half_way_is_finished_by_the_next(
    environment: dict[str, str],
) -> None:
    brokers = environment["KAFKA_BROKERS"]
    values = bury(brokers, "KILL", 12)
    words = ("dead-letters", "redrive", "--cause", "KILL", "--yes", "--rate", "1")
    killed = subprocess.Popen(
        [sys.executable, "-m", "scripts.program", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        assert wait_until(lambda: bool(sent(brokers, "KILL")), 60)
        killed.send_signal(signal.SIGKILL)
    finally:
        killed.kill()
        killed.wait(60)
    # What was open when it died is aborted by whoever starts next.
    told = redrive(environment, "KILL", "--yes")
    assert told["sent"] == len(values) - told["sums"]["sent"]
    assert Counter(one.value for one in sent(brokers, "KILL")) == Counter(values)


def test_a_mark_behind_somebody_elses_open_transaction_is_not_missed(
    environment: dict[str, str],
) -> None:
    """Whoever reads waits for it to end: what is read until then is not all that was sent."""
    brokers = environment["KAFKA_BROKERS"]
    bury(brokers, "OPEN", 3)
    other = Producer({"bootstrap.servers": brokers, "transactional.id": "somebody-else"})
    other.init_transactions(30)
    other.begin_transaction()
    for partition in range(PARTITIONS):
        mark: Any = [("redrive-of", b"of-%d" % partition)]
        other.produce(DEAD_LETTER_QUEUE.name, None, b"open", partition, headers=mark)
    assert other.flush(30) == 0
    where = Servers(brokers, environment["SCHEMA_REGISTRY_URL"])
    has_read = Event()

    def keeps(_: Letter) -> bool:
        has_read.set()
        return True

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(read_letters, where, keeps)
        try:
            # Where it ends for whoever does not wait was asked for by then.
            assert has_read.wait(60)
        finally:
            other.commit_transaction(30)
        assert found.result(60).sent >= {f"of-{partition}" for partition in range(PARTITIONS)}
