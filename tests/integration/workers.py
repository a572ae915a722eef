"""Worker processes, their topics, and the count that is taken on the log, never on worker logs."""

import http.client
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic
from integration.counting import KEY_TAG, PROGRESS_KEY, Topics

from infra.stack.processes import Child, child_environment, tail, wait_until
from scripts.contracts.topics import wait_until_led
from state.kafka.message_headers import headers_of
from state.stores import envelope
from state.stores.partition_state import SIGNED_KEYS

ROOT = Path(__file__).resolve().parents[2]
SESSION_TIMEOUT_S = 3.0
# Half a short session is soon over on a busy machine, and most tests have nobody who would start a
# worker again that ends itself for it.
WITHOUT_WATCHDOG = {"SEATSTREAM_WATCHDOG": "0"}
READY_TIMEOUT_S = 60.0
END_TIMEOUT_S = 60.0
ENDED_ITSELF = 70
"""Exit code of a worker that ended itself; see streams/runtime/process/fatal.py."""


class Worker:
    """One worker process at a time over one data directory.

    environment: on top of what every worker of the fleet gets.
    """

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.data_dir = directory / name
        self.stores = self.data_dir / "stores"
        self.log = directory / f"{name}.log"
        self.environment = dict(environment)
        self.exit_codes: list[int] = []
        self.child: Child | None = None

    def start(self, module: str = "integration.counting", **environment: str) -> "Worker":
        """Start a process; variables given here hold for this start only."""
        assert self.child is None, f"{self.name} runs"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        (self.data_dir / "health-port").unlink(missing_ok=True)
        command = [sys.executable, "-m", "faust", "-A", module]
        command += ["worker", "--without-web"]
        wanted = {
            **child_environment(),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "SEATSTREAM_INSTANCE": self.name,
            "SEATSTREAM_DATA_DIR": str(self.data_dir),
            **self.environment,
            **environment,
        }
        self.child = Child(command, ROOT, self.log, wanted)
        return self

    @property
    def process(self) -> Child:
        assert self.child is not None, f"{self.name} does not run"
        return self.child

    def is_alive(self) -> bool:
        return self.child is not None and self.child.is_alive()

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of a health page; status 0 when there is no answer."""
        try:
            port = int((self.data_dir / "health-port").read_text())
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, ValueError, http.client.HTTPException):
            return 0, ""

    def is_ready(self) -> bool:
        return self.page("/ready")[0] == 200

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> "Worker":
        reached = wait_until(lambda: self.is_ready() or not self.is_alive(), timeout_s)
        assert reached, f"{self.name} is not ready in time:\n{self.tail()}"
        assert self.is_alive(), f"{self.name} ended before it was ready:\n{self.tail()}"
        return self

    def set_aside(self) -> dict[str, str]:
        """Return why partitions are set aside, by topic and partition; empty while it is ready."""
        status, text = self.page("/ready")
        aside = json.loads(text)["set_aside"] if status == 503 else {}
        return {place: told["why"] for place, told in aside.items()}

    def wait_set_aside(self, places: int, why: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until so many partitions are set aside, each for a reason that contains `why`.

        Between two looks one may be tried again: page and metric are looked at together.
        """

        def reached() -> bool:
            told = self.set_aside().values()
            parked = self.metric("seatstream_partitions_parked")
            return len(told) == parked == places and all(why in one for one in told)

        assert wait_until(lambda: reached() or not self.is_alive(), timeout_s), (
            f"{self.name} says {self.set_aside()}:\n{self.tail()}"
        )
        assert self.is_alive(), f"{self.name} ended:\n{self.tail()}"

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples; 0 when there is none, NaN where nobody tells."""
        status, text = self.page("/metrics")
        if status != 200:
            return math.nan
        lines = text.splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith((name + " ", name + "{"))
        )

    def ended(self, timeout_s: float = END_TIMEOUT_S, why: str = "by itself") -> int:
        """Wait until the process has ended by itself and return its exit code."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end ({why}):\n{self.tail()}") from None
        return self._note(code)

    def revive(self, module: str = "integration.counting") -> None:
        """Start it again if it has ended: what a supervisor does for its users."""
        if self.child is not None and not self.child.is_alive():
            self.ended(0)
            self.start(module)

    def kill(self) -> None:
        """End it as a crash would, paused or not."""
        self.process.kill()
        self._note(-signal.SIGKILL)

    def terminate(self, timeout_s: float = END_TIMEOUT_S) -> int:
        """Ask it to leave; return its exit code."""
        self.process.signal(signal.SIGTERM)
        return self.ended(timeout_s)

    def pause(self) -> None:
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Lose the machine: stores and journal are gone."""
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def output(self) -> str:
        """Return what the present or last process wrote, all starts together."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 30) -> str:
        return tail(self.output(), lines)

    def _note(self, code: int) -> int:
        self.child = None
        self.exit_codes.append(code)
        return code


@dataclass
class Fleet:
    """The workers of one topology, over topics of their own.

    environment: what all of them get.
    """

    brokers: str
    prefix: str
    directory: Path
    partitions: int = 4
    environment: dict[str, str] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)

    @property
    def topics(self) -> Topics:
        return Topics(self.prefix)

    @property
    def app_id(self) -> str:
        return self.prefix + "app"

    def create_topics(self, **config_of_words: str) -> None:
        topics = self.topics
        create_topics(
            self.brokers,
            [
                NewTopic(topics.words, self.partitions, config=config_of_words),
                NewTopic(topics.counts, self.partitions),
                NewTopic(topics.changelog, self.partitions, config={"cleanup.policy": "compact"}),
                NewTopic(topics.dead, self.partitions),
            ],
        )

    def worker(self, name: str, **environment: str) -> Worker:
        """Return a new worker, not started."""
        everyone = {
            "KAFKA_BROKERS": self.brokers,
            "COUNTING_PREFIX": self.prefix,
            "SEATSTREAM_APP_ID": self.app_id,
            "SEATSTREAM_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            **WITHOUT_WATCHDOG,
        }
        worker = Worker(name, self.directory, {**everyone, **self.environment, **environment})
        self.workers.append(worker)
        return worker

    def revive(self) -> None:
        """Start again what has ended: what a supervisor does for its users."""
        for worker in self.workers:
            worker.revive()

    def stop(self) -> None:
        for worker in self.workers:
            if worker.child is not None:
                worker.kill()

    # --- input -----------------------------------------------------------------------------

    def produce(self, count: int, *, keys: int = 50, seed: int = 1) -> None:
        """Append `count` words, spread over all partitions, and wait for the broker's word."""
        chance = random.Random(seed)
        with producing(self.brokers) as producer:
            for _ in range(count):
                partition = chance.randrange(self.partitions)
                key = f"{partition}-{chance.randrange(keys)}"
                _append(producer, self.topics.words, b"w", key.encode(), partition)

    def append(self, values: Sequence[bytes], partition: int = 0, key: bytes = b"") -> None:
        """Append these values to one partition, in order."""
        with producing(self.brokers) as producer:
            for value in values:
                word = key or b"%d-0" % partition
                _append(producer, self.topics.words, value, word, partition)

    @contextmanager
    def load(
        self, per_second: int, *, seed: int = 1, keys: int = 200
    ) -> Iterator[Callable[[], int]]:
        """Append words at a rate until the block ends; gives a function that says how many."""
        done = threading.Event()
        sent = 0

        def run() -> None:
            nonlocal sent
            chance = random.Random(seed)
            with producing(self.brokers) as producer:
                began_s = time.monotonic()
                while not done.wait(0.02):
                    due = int((time.monotonic() - began_s) * per_second)
                    while sent < due:
                        partition = chance.randrange(self.partitions)
                        key = f"{partition}-{chance.randrange(keys)}"
                        _append(producer, self.topics.words, b"w", key.encode(), partition)
                        sent += 1

        thread = threading.Thread(target=run, name="load")
        thread.start()
        try:
            yield lambda: sent
        finally:
            done.set()
            thread.join()

    # --- what the log says -----------------------------------------------------------------

    def committed(self) -> dict[int, int]:
        """Return the committed input offset of every partition; -1 where there is none."""
        return committed_offsets(self.brokers, self.app_id, self.topics.words, self.partitions)

    def ends(self) -> dict[int, int]:
        return end_offsets(self.brokers, self.topics.words, self.partitions)

    def changelog_ends(self) -> dict[int, int]:
        return end_offsets(self.brokers, self.topics.changelog, self.partitions)

    def has_settled(self) -> bool:
        """Tell whether everything appended so far is decided."""
        committed = self.committed()
        return all(end == 0 or committed[part] >= end for part, end in self.ends().items())

    def settle(self, timeout_s: float = 60.0, *, revive: bool = False) -> None:
        """Wait until everything is decided; bring the dead back meanwhile if asked to."""

        def settled() -> bool:
            if revive:
                self.revive()
            return self.has_settled()

        if not wait_until(settled, timeout_s):
            tails = "\n".join(f"{worker.name}:\n{worker.tail()}" for worker in self.workers)
            raise AssertionError(
                f"committed {self.committed()} of {self.ends()} in {timeout_s} s\n{tails}"
            )

    def verify(self) -> int:
        """Compare outcomes and changelog with the input; return the number of words counted.

        Every readable word has exactly one outcome; the totals of a key are 1, 2, 3, ... in log
        order; the changelog's fold is the last totals and the progress.
        """
        topics = self.topics
        words = read_committed(self.brokers, topics.words, self.partitions)
        dead = {
            (record.partition, int(record.header("dead-letter-offset")))
            for record in read_committed(self.brokers, topics.dead, self.partitions)
        }
        asked = {(record.partition, record.offset): record.key for record in words}
        told: Counter[tuple[int, int]] = Counter()
        totals: dict[bytes, int] = defaultdict(int)
        for record in read_committed(self.brokers, topics.counts, self.partitions):
            offset, total = (record.value or b"").split()
            key = record.key
            place = record.partition, int(offset)
            told[place] += 1
            assert asked[place] == key, f"outcome of {place} has the key {key!r}"
            totals[key] += 1
            assert int(total) == totals[key], (
                f"{key!r} counts {int(total)} after {totals[key] - 1}"
            )
        twice = [place for place, count in told.items() if count > 1]
        assert not twice, f"{len(twice)} outcomes are there twice: {twice[:5]}"
        assert not told.keys() & dead, "a dead letter was counted too"
        missing = asked.keys() - told.keys() - dead
        assert not missing, f"{len(missing)} of {len(asked)} have no outcome: {min(missing)}"
        self._verify_changelog(totals)
        return len(told)

    def _verify_changelog(self, totals: Mapping[bytes, int]) -> None:
        fold: dict[bytes, int] = {}
        progress: dict[int, int] = {}
        for record in read_committed(self.brokers, self.topics.changelog, self.partitions):
            key = record.key
            if key in SIGNED_KEYS:
                continue
            assert record.value is not None
            seed = envelope.seed_of(self.topics.changelog, record.partition)
            payload, _ = envelope.unpack(record.value, seed)
            if key == PROGRESS_KEY:
                progress[record.partition] = int(payload.split()[0])
            else:
                assert key.startswith(KEY_TAG)
                fold[key[1:]] = int(payload)
        assert fold == dict(totals)
        assert progress == {place: end for place, end in self.committed().items() if end > 0}


def create_topics(brokers: str, topics: Sequence[NewTopic]) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    for created in admin.create_topics(list(topics)).values():
        created.result(timeout=60)
    wait_until_led(admin, [topic.topic for topic in topics])


@contextmanager
def producing(brokers: str, **config: str | int) -> Iterator[Producer]:
    """Give a producer; at the end everything must have been acknowledged."""
    producer = Producer({"bootstrap.servers": brokers, "acks": "all", "linger.ms": 5, **config})
    yield producer
    assert producer.flush(150) == 0, "not everything was acknowledged"


def _append(producer: Producer, topic: str, value: bytes, key: bytes, partition: int) -> None:
    while True:
        try:
            producer.produce(topic, value, key, partition)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


def reader(brokers: str, **config: str | bool | int) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "reads-the-log",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            **config,
        }
    )


@dataclass(frozen=True, slots=True)
class LoggedRecord:
    """A record as it lies in the log; an absent key is empty."""

    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, message: Message) -> "LoggedRecord":
        partition, offset, value = message.partition(), message.offset(), message.value()
        assert partition is not None
        assert offset is not None
        assert value is None or isinstance(value, bytes)
        key = message.key() or b""
        assert isinstance(key, bytes)
        # Of a stranger's record with a name that is not UTF-8, none.
        headers: Any = headers_of(message)
        return cls(partition, offset, key, value, tuple(headers))

    def header(self, name: str) -> str:
        return dict(self.headers)[name].decode()


def read_committed(brokers: str, topic: str, partitions: int) -> list[LoggedRecord]:
    """Return every committed record of a topic, each partition in offset order."""
    low = {part: low for part, (low, _) in _watermarks(brokers, topic, partitions).items()}
    consumer = reader(brokers)
    consumer.assign([TopicPartition(topic, part, offset) for part, offset in low.items()])
    records: list[LoggedRecord] = []
    open_parts = set(range(partitions))
    deadline_s = time.monotonic() + 60
    try:
        while open_parts:
            assert time.monotonic() < deadline_s, f"{topic} cannot be read to its end"
            for record in consumer.consume(10_000, 0.1):
                error = record.error()
                if error is None:
                    records.append(LoggedRecord.of(record))
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_parts.discard(record.partition() or 0)
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
    return records


def _watermarks(brokers: str, topic: str, partitions: int) -> dict[int, tuple[int, int]]:
    """Ask until all answer; with a new client each time, for one keeps asking a dead leader."""
    answers: dict[int, tuple[int, int]] = {}

    def are_answered() -> bool:
        consumer = reader(brokers)
        try:
            for part in answers.keys() ^ range(partitions):
                answers[part] = consumer.get_watermark_offsets(
                    TopicPartition(topic, part), timeout=5
                )
        except KafkaException:
            return False
        finally:
            consumer.close()
        return True

    assert wait_until(are_answered, 60), f"nobody tells where {topic} ends: {answers}"
    return answers


def end_offsets(brokers: str, topic: str, partitions: int) -> dict[int, int]:
    """Return the stable end of every partition: no transaction is open before it."""
    return {part: high for part, (_, high) in _watermarks(brokers, topic, partitions).items()}


def committed_offsets(brokers: str, group: str, topic: str, partitions: int) -> dict[int, int]:
    consumer = reader(brokers, **{"group.id": group})
    try:
        asked = [TopicPartition(topic, part) for part in range(partitions)]
        answered: list[TopicPartition] = []

        def are_answered() -> bool:
            with suppress(KafkaException):
                answered[:] = consumer.committed(asked, timeout=10)
            return bool(answered) and not any(at.error for at in answered)

        assert wait_until(are_answered, 60), f"nobody tells what {group} has committed: {answered}"
        return {at.partition: at.offset if at.offset >= 0 else -1 for at in answered}
    finally:
        consumer.close()


def leader_of(brokers: str, topic: str, *, other_than: int = -1, timeout_s: float = 60) -> int:
    """Wait for a leader of partition 0; a new client each time: one may ask a dead broker."""
    found: list[int] = []

    def is_told() -> bool:
        admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})
        (described,) = admin.describe_topics(TopicCollection([topic]), request_timeout=5).values()
        try:
            leader = described.result().partitions[0].leader
        except KafkaException:
            return False
        if leader is not None and leader.id not in {-1, other_than}:
            found.append(leader.id)
        return bool(found)

    assert wait_until(is_told, timeout_s), f"{topic} has no leader but {other_than}"
    return found[-1]


def run(
    environment: Mapping[str, str], module: str, *arguments: str
) -> "subprocess.CompletedProcess[str]":
    """Run a program of ours; what it says is shown where the test fails."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    print(f"{module} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")  # noqa: T201 - what a failure needs
    return done


def environment_without_settings() -> dict[str, str]:
    """Return our environment without what configures a worker."""
    return {name: text for name, text in os.environ.items() if not name.startswith("SEATSTREAM_")}
