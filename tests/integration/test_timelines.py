"""What outlives a process is compared with the log: another history, another topic, another count.

Each test has a broker of its own where the broker's data is exchanged.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from faults.lost_records import lose_records
from faults.restored_backup import back_up, put_back
from integration.conftest import FAST_SESSIONS
from integration.workers import (
    ENDED_ITSELF,
    ROOT,
    Fleet,
    Worker,
    committed_offsets,
    create_topics,
    end_offsets,
    producing,
    read_committed,
    run,
)

from infra.stack import QUICK_RESTART, Stack, ephemeral_stack
from infra.stack.processes import child_environment, wait_until
from schemas.topics import DEAD_LETTER_QUEUE, SECTION_COMMANDS
from streams.settings import Settings

pytestmark = pytest.mark.kafka


@pytest.fixture
def stack() -> Iterator[Stack]:
    properties = {**QUICK_RESTART, **FAST_SESSIONS}
    with ephemeral_stack(
        "tests-timelines", parts={"kafka"}, kafka_properties=properties, fast_jit=True
    ) as stack:
        yield stack


@pytest.fixture
def fleet(stack: Stack, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(stack.kafka_brokers, "t-", tmp_path, 2)
    fleet.create_topics()
    yield fleet
    fleet.stop()


def lived(fleet: Fleet, name: str, words: int, *, seed: int, keys: int = 50) -> None:
    """Let a worker, new or not, live through so many words and leave."""
    found = [worker for worker in fleet.workers if worker.name == name]
    worker = found[0] if found else fleet.worker(name)
    fleet.produce(words, seed=seed, keys=keys)
    worker.start().wait_ready()
    fleet.settle()
    assert worker.terminate() == 0


def test_s3_a_store_from_before_a_restored_backup_is_made_anew(
    stack: Stack, fleet: Fleet, tmp_path: Path
) -> None:
    lived(fleet, "one", 500, seed=1)
    back_up(stack, tmp_path / "backup")
    # Of this nothing is left in the log, of most keys not even a later value; the store has it.
    lived(fleet, "one", 700, seed=2, keys=200)
    put_back(stack, tmp_path / "backup")
    # Another owner, and the log grows beyond what the store has seen, in other words.
    for seed in (3, 4):
        lived(fleet, "two", 1_200, seed=seed)
    [one, _] = fleet.workers
    # What the journal has against an offset is another record now.
    end = fleet.ends()[0]
    caution = {"first_offset": end, "last_offset": end, "deaths": 3}
    (one.data_dir / "crash-journal.json").write_text(json.dumps({"t-words-0": caution}))
    one.start().wait_ready()
    fleet.produce(100, seed=9, keys=200)
    fleet.settle()
    assert fleet.verify() == 3_000
    assert "copies another history" in one.output()


def test_s3_a_store_that_others_have_overtaken_reads_the_tail_only(
    stack: Stack, fleet: Fleet
) -> None:
    lived(fleet, "one", 2_000, seed=1)
    before = sum(fleet.changelog_ends().values())
    for seed in (2, 3):
        lived(fleet, "two", 300, seed=seed)
    [one, _] = fleet.workers
    one.start().wait_ready()
    assert "another history" not in one.output()
    tail = sum(fleet.changelog_ends().values()) - before
    assert 0 < one.metric("seatstream_restored_records_total") <= tail
    fleet.settle()
    assert fleet.verify() == 2_600


def test_c1_partitions_added_to_all_topics_end_every_worker(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2)
    lived(fleet, "one", 200, seed=1)
    add_partitions(fleet, 4)
    [one] = fleet.workers
    for worker in (one, fleet.worker("without-stores")):
        worker.start()
        assert worker.ended() == ENDED_ITSELF
        assert "was made under 2" in worker.output()


def test_c1_partitions_added_under_a_running_worker_end_it(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2)
    fleet.produce(200)
    worker = fleet.worker("one").start().wait_ready()
    fleet.settle()
    add_partitions(fleet, 4)
    assert worker.ended() == ENDED_ITSELF
    assert "partitions" in worker.output()
    assert worker.start().ended() == ENDED_ITSELF
    assert "was made under 2" in worker.output()


def test_c4_commands_created_again_are_refused_whatever_offsets_the_group_is_given(
    new_fleet: Callable[..., Fleet],
) -> None:
    fleet = new_fleet(partitions=2)
    lived(fleet, "one", 500, seed=1)
    admin = AdminClient({"bootstrap.servers": fleet.brokers})
    for deleted in admin.delete_topics([fleet.topics.words]).values():
        deleted.result(timeout=60)
    assert wait_until(lambda: fleet.topics.words not in admin.list_topics(timeout=5).topics, 60)
    create_topics(fleet.brokers, [NewTopic(fleet.topics.words, 2)])
    move_group(fleet.brokers, fleet.app_id, fleet.topics.words, {0: 0, 1: 0})
    fleet.produce(100, seed=2)
    [one] = fleet.workers
    one.start().wait_set_aside(2, "was deleted and created again")
    # The disk is no witness that is needed.
    one.terminate()
    one.wipe()
    one.start().wait_set_aside(2, "was deleted and created again")
    assert fleet.committed() == {0: 0, 1: 0}


class Operator:
    """Who runs one worker over two partitions, and does what its messages say."""

    def __init__(self, brokers: str, directory: Path) -> None:
        self.brokers = brokers
        self._environment = {
            **child_environment(), "PYTHONPATH": str(ROOT), "KAFKA_BROKERS": brokers,
        }  # fmt: skip
        environment = {
            "KAFKA_BROKERS": brokers,
            "SEATSTREAM_SESSION_TIMEOUT_S": "3",
            "SEATSTREAM_ROLES": "seats",
        }
        self.worker = Worker("one", directory, environment)

    def script(self, name: str, *arguments: str) -> tuple[int, str]:
        done = run(self._environment, f"scripts.{name}", *arguments)
        return done.returncode, done.stdout + done.stderr

    def junk(self, count: int, *partitions: int) -> None:
        with producing(self.brokers) as producer:
            for partition in partitions:
                for _ in range(count):
                    producer.produce(SECTION_COMMANDS.name, b"junk", b"7-A", partition)

    def committed(self) -> dict[int, int]:
        return committed_offsets(self.brokers, Settings().app_id, SECTION_COMMANDS.name, 2)

    def ends(self) -> dict[int, int]:
        return end_offsets(self.brokers, SECTION_COMMANDS.name, 2)

    def runs_to_the_end(self) -> None:
        self.worker.start("topology").wait_ready()
        assert wait_until(lambda: self.committed() == self.ends(), 60), self.worker.tail()

    def skips(self, *options: str, code: int = 0) -> str:
        """Skip lost commands, which ends so, and return what was told."""
        found, text = self.script("skip_lost_commands", *options)
        assert found == code, text
        return text


def test_c2_lost_commands_are_named_written_down_and_passed_over(
    stack: Stack, tmp_path: Path
) -> None:
    """By the text of the message and docs/operations.md alone."""
    brokers = stack.kafka_brokers
    operator = Operator(brokers, tmp_path)
    worker = operator.worker
    assert operator.script("create_topics", "--partitions", "2")[0] == 0
    try:
        operator.junk(4, 0, 1)
        operator.runs_to_the_end()
        assert worker.terminate() == 0
        # Junk, and perhaps a tick.
        first = operator.committed()[1]
        operator.junk(3, 0, 1)
        behind = operator.ends()[1] - 1
        lose_records(brokers, SECTION_COMMANDS.name, 1, behind)
        worker.start("topology").wait_set_aside(1, "python -m scripts.skip_lost_commands")
        assert "stop all workers" in operator.skips("--yes", code=2)
        assert worker.terminate() == 0
        told = f"section-commands-1: offsets {first} to {behind - 1} ({behind - first}) are lost"
        assert told in operator.skips("--dry-run", code=1)
        place = {"topic": "section-commands", "partition": 1, "first": first, "behind": behind}
        skipped = json.loads(operator.skips("--yes", "--json"))
        assert skipped == {"lost": [place], "given_up": True}
        operator.skips()
        worker.wipe()
        operator.runs_to_the_end()
        # The same once more, and the group was moved forward over what is left.
        assert worker.terminate() == 0
        second = operator.committed()[1]
        operator.junk(3, 1)
        end = operator.ends()[1]
        lose_records(brokers, SECTION_COMMANDS.name, 1, end - 1)
        move_group(brokers, Settings().app_id, SECTION_COMMANDS.name, {1: end})
        worker.start("topology").wait_set_aside(1, f"set its offset here to {second}")
        advice = "set it to the first offset there is"
        assert wait_until(lambda: advice in worker.page("/ready")[1], 60), worker.tail()
        assert worker.terminate() == 0
        move_group(brokers, Settings().app_id, SECTION_COMMANDS.name, {1: end - 1})
        assert f"offsets {second} to {end - 2}" in operator.skips("--yes")
        operator.runs_to_the_end()
    finally:
        if worker.child is not None:
            worker.kill()
    letters = read_committed(brokers, DEAD_LETTER_QUEUE.name, 2)
    [lost, _] = [one for one in letters if one.header("dead-letter-cause") == "LOST"]
    assert (lost.partition, lost.value, lost.header("dead-letter-offset")) == (1, b"", str(first))
    assert f"offsets {first} to {behind - 1}" in lost.header("dead-letter-message")
    assert len(letters) == 1 + 4 + 4 + 3 + 1 + (1 + 1)


def add_partitions(fleet: Fleet, count: int) -> None:
    admin = AdminClient({"bootstrap.servers": fleet.brokers})
    topics = fleet.topics
    names = [topics.words, topics.counts, topics.changelog, topics.dead]
    for added in admin.create_partitions([NewPartitions(name, count) for name in names]).values():
        added.result(timeout=60)


def move_group(brokers: str, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Set the committed offsets of partitions; the group must have no members."""
    places = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
    admin = AdminClient({"bootstrap.servers": brokers})
    asked = [ConsumerGroupTopicPartitions(group, places)]
    (moved,) = admin.alter_consumer_group_offsets(asked).values()
    assert not any(place.error for place in moved.result(timeout=60).topic_partitions)
