"""How a topic is followed; consumer and client are played, in the test's own thread."""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from serdes.registry.known_ids import ContradictoryIdsError, IdLogUnavailableError
from state.views.following import feed as following
from state.views.following.feed import BroadcastFeed, client_options, reader_options
from state.views.following.heartbeat import TopicMissing
from state.views.following.reading import Reading

EOF = KafkaError(KafkaError._PARTITION_EOF)
GONE = KafkaError(KafkaError._TRANSPORT, "127.0.0.1:9: disconnected")
REFUSED = KafkaError(KafkaError._TRANSPORT, "b:1/1: Connect to b:1 failed: Connection refused")
NO_TOPIC = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
PARTITIONS = 2

Step = Message | Callable[[], object] | None


def record(partition: int, offset: int) -> Message:
    value = b"%d-%d" % (partition, offset)
    return Message(topic="t", partition=partition, offset=offset, key=b"k", value=value)


def failure(error: KafkaError, partition: int = 0, offset: int = 0) -> Message:
    return Message(topic="t", partition=partition, offset=offset, error=error)


@dataclass
class Follower:
    """Notes what it is told, and how far each partition was known to be read at that moment."""

    trouble: str = ""
    heartbeats: int = 0
    heartbeats_failed: int = 0
    read_errors: int = 0
    readings: list[Reading] = field(default_factory=list)
    taken: list[tuple[int, int]] = field(default_factory=list)
    positions: list[tuple[int, ...]] = field(default_factory=list)
    published: list[Reading] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    fails: Exception | None = None

    @property
    def counters(self) -> "Follower":
        return self

    def new_reading(self, partitions: int, topic_id: str) -> Reading:  # noqa: ARG002
        self.readings.append(Reading(partitions, -1))
        self.taken.clear()
        return self.readings[-1]

    def take(self, _: Reading, records: Sequence[Message]) -> list[tuple[int, int]]:
        if self.fails is not None:
            raise self.fails
        told = [(one.partition() or 0, one.offset() or 0) for one in records]
        self.taken += told
        return told

    def changed(self, reading: Reading, changes: Sequence[Any]) -> None:
        for number, offset in changes:
            assert reading.partitions[number].position > offset, "told before its place was noted"

    def publish(self, reading: Reading) -> None:
        self.published.append(reading)

    def refreshed(self) -> None:
        pass

    def troubled(self, trouble: str) -> None:
        self.trouble = trouble
        self.troubles.append(trouble)


class Consumer:
    """Plays steps: messages as they come, None where nothing does, and whatever else happens.

    Each poll takes 100 ms of the feed's clock, so that heartbeats are asked and answered between.
    Behind the last step the feed is told to end.
    """

    def __init__(self, feed: "Feed", steps: list[Step]) -> None:
        self._feed = feed
        self._steps = steps
        self.is_closed = False

    def assign(self, places: list[TopicPartition]) -> None:
        self._feed.assigned.append([(place.partition, place.offset) for place in places])

    def poll(self, _: float) -> Message | None:
        self._feed.now_ns += 100_000_000
        if not self._steps:
            self._feed.close()
            return None
        step = self._steps.pop(0)
        if isinstance(step, Message):
            return step
        if step is not None:
            step()
        return None

    def consume(self, number: int, timeout_s: float) -> list[Message]:
        assert timeout_s == 0
        found: list[Message] = []
        while self._steps and len(found) < number and isinstance(step := self._steps[0], Message):
            found.append(step)
            self._steps.pop(0)
        return found

    def close(self) -> None:
        self.is_closed = True


class Feed(BroadcastFeed[Reading]):
    """A feed that runs in the test's own thread, over brokers that are played.

    ends:       where the brokers say that the partitions end.
    is_missing: they say that there is no topic.
    """

    def __init__(self, follower: Follower, *steps: Step, ends: Sequence[int], **more: Any) -> None:
        self.now_ns = 10**12
        self.ends = list(ends)
        self.is_missing = False
        self.assigned: list[list[tuple[int, int]]] = []
        self.consumers: list[Consumer] = []
        self._steps = list(steps)
        super().__init__(
            "nobody:1",
            "t",
            follower,
            name="test",
            heartbeat_ms=200,
            kafka={},
            clock_ns=lambda: self.now_ns,
            **more,
        )

    def run(self) -> None:
        self._run()

    def _connect(self) -> Any:
        return Admin(self)

    def _consumer(self) -> Any:
        self._has_lost, self._awake_ns = False, self.now_ns
        self._doubted_ns = self.now_ns - following.DOUBT_APART_NS
        self.consumers.append(Consumer(self, self._steps))
        return self.consumers[-1]

    def lose(self) -> None:
        """Have the consumer lose a connection."""
        self._lost()

    def fail(self, error: KafkaError) -> None:
        """Have the consumer tell of an error, as librdkafka does beside the records."""
        self._complain(error)


class Admin:
    """Answers at once."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def describe_topics(self, topics: Any, **_: Any) -> dict[str, "Future[Any]"]:
        answer: Future[Any] = Future()
        if self._feed.is_missing:
            answer.set_exception(NO_TOPIC)
        else:
            answer.set_result(SimpleNamespace(topic_id="id", partitions=range(PARTITIONS)))
        return dict.fromkeys(topics.topic_names, answer)

    def list_offsets(
        self, specs: dict[TopicPartition, Any], **_: Any
    ) -> dict[TopicPartition, "Future[Any]"]:
        answers = {}
        for place in specs:
            answers[place] = Future[Any]()
            answers[place].set_result(SimpleNamespace(offset=self._feed.ends[place.partition]))
        return answers

    def poll(self, _: float) -> int:
        return 0


@pytest.fixture(autouse=True)
def _again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RETRY_S", 0.0)


@given(st.lists(st.sampled_from([0, 1, None, "end", "gone"]), max_size=60))
def test_every_record_is_told_once_and_in_order_and_its_place_behind_it(
    happenings: list[int | str | None],
) -> None:
    """Of two partitions come records, ends, and errors of brokers that came and went."""
    offsets = [0, 0]
    steps: list[Step] = []
    for what in happenings:
        match what:
            case int(number):
                steps.append(record(number, offsets[number]))
                offsets[number] += 1
            case "end":
                steps.append(failure(EOF, 0, offsets[0]))
            case "gone":
                steps.append(failure(GONE))
            case _:
                steps.append(None)
    # Time for two heartbeats.
    steps += [None] * 6
    follower = Follower()
    feed = Feed(follower, *steps, ends=offsets)
    feed.run()
    for number in range(PARTITIONS):
        mine = [offset for partition, offset in follower.taken if partition == number]
        assert mine == list(range(offsets[number]))
    assert follower.read_errors == happenings.count("gone")
    assert follower.published == follower.readings
    assert len(follower.readings) == 1
    assert follower.trouble == ""
    assert all(consumer.is_closed for consumer in feed.consumers)


def test_a_reading_is_published_once_it_was_read_to_the_ends_that_were_told() -> None:
    follower = Follower()
    before: list[int] = []

    def look() -> None:
        before.append(len(follower.published))

    idle: list[Step] = [None] * 6
    feed = Feed(
        follower, *idle, record(0, 0), look, record(0, 1), None, look, *idle, look, ends=[2, 0]
    )
    feed.run()
    assert before == [0, 1, 1]
    assert feed.news.is_set()


def test_each_process_reads_every_partition_from_its_beginning() -> None:
    feed = Feed(Follower(), ends=[0, 0])
    feed.run()
    assert feed.assigned == [[(0, OFFSET_BEGINNING), (1, OFFSET_BEGINNING)]]


def test_what_an_id_stands_for_is_confirmed_before_the_first_record_is_read() -> None:
    happened: list[str] = []

    def starts(_: Any, topic: Any) -> list[TopicPartition]:
        happened.append(f"starts of {topic.name}")
        return [TopicPartition("t", 1, 5)]

    feed = Feed(Follower(), ends=[0, 0], starts=starts, confirm=lambda: happened.append("ids"))
    feed.run()
    assert happened == ["ids", "starts of t"]
    assert feed.assigned == [[(1, 5)]]


def test_ids_that_nobody_confirms_yet_are_asked_for_again_and_nothing_is_read_meanwhile() -> None:
    follower = Follower()
    asked: list[int] = []

    def confirm() -> None:
        asked.append(len(follower.readings))
        if len(asked) < 3:
            raise IdLogUnavailableError("the list of ids does not answer")

    Feed(follower, ends=[0, 0], confirm=confirm).run()
    assert asked == [0, 0, 0]
    assert follower.troubles == ["the list of ids does not answer"] * 2
    assert len(follower.readings) == 1


def test_ids_that_contradict_the_log_end_the_thread_with_their_reason() -> None:
    follower = Follower()

    def confirm() -> None:
        raise ContradictoryIdsError("id 4 is two schemas")

    feed = Feed(follower, ends=[0, 0], confirm=confirm)
    with pytest.raises(ContradictoryIdsError):
        feed.run()
    assert isinstance(feed.failure, ContradictoryIdsError)
    assert follower.trouble == "ended: ContradictoryIdsError: id 4 is two schemas"
    assert follower.readings == []


def test_a_mistake_of_ours_ends_the_thread_and_is_told_to_who_waits() -> None:
    follower = Follower(fails=ZeroDivisionError())
    feed = Feed(follower, record(0, 0), ends=[1, 0])
    with pytest.raises(ZeroDivisionError):
        feed.run()
    assert isinstance(feed.failure, ZeroDivisionError)
    assert not feed.wait(lambda: False, 60)
    assert feed.consumers[0].is_closed


def test_a_topic_that_is_not_there_is_told_at_once_and_followed_when_it_is() -> None:
    follower = Follower()
    feed = Feed(follower, ends=[0, 0])
    feed.is_missing = True
    # The first attempt finds none; whoever waits meanwhile is told so at once.
    feed._follow_or_say_why()
    with pytest.raises(TopicMissing, match="there is no topic t; create it first"):
        feed.wait(lambda: False, 60)
    assert "there is no topic t" in follower.trouble
    feed.is_missing = False
    feed.run()
    assert feed.missing is None
    assert len(follower.readings) == 1


def test_a_log_that_became_shorter_is_read_anew() -> None:
    follower = Follower()
    feed = Feed(follower, record(0, 0), record(0, 1), None, record(0, 0), ends=[1, 0])
    feed.run()
    assert len(follower.readings) == 2
    assert [consumer.is_closed for consumer in feed.consumers] == [True, True]


def test_a_fatal_error_of_the_client_has_another_one_made() -> None:
    follower = Follower()
    fatal = KafkaError(KafkaError._FATAL, "fenced", True)
    feed = Feed(follower, failure(fatal), None, record(0, 0), ends=[1, 0])
    feed.run()
    assert len(feed.consumers) == 2
    assert any("fenced" in trouble for trouble in follower.troubles)
    assert follower.taken == [(0, 0)]


@pytest.mark.parametrize(
    ("happens", "is_asked"),
    [
        (lambda feed: feed.lose(), True),
        (lambda feed: feed.fail(KafkaError(KafkaError._ALL_BROKERS_DOWN)), True),
        # One of several brokers is away: the others go on.
        (lambda feed: feed.fail(REFUSED), False),
        # As long as a laptop's lid was closed.
        (lambda feed: feed.sleep(2_000_000_001), True),
        (lambda feed: feed.sleep(1_000_000_000), False),
    ],
    ids=["lost", "none left", "one away", "slept", "awake"],
)
def test_s3_after_brokers_may_have_been_away_the_last_record_is_asked_for_again(
    happens: Callable[[Feed], None], is_asked: bool
) -> None:
    asked: list[list[tuple[int, int]]] = []

    class Checker:
        def assign(self, places: list[TopicPartition]) -> None:
            asked.append([(place.partition, place.offset) for place in places])

        def consume(self, number: int, timeout_s: float) -> list[Message]:  # noqa: ARG002
            return [record(0, 0)]

        def close(self) -> None:
            pass

    class Lossy(Feed):
        def sleep(self, ns: int) -> None:
            self.now_ns += ns

        def _checker(self) -> Any:
            return Checker()

    follower = Follower()
    steps: list[Step] = [record(0, 0), lambda: happens(feed), None, record(0, 1), None]
    feed = Lossy(follower, *steps, ends=[2, 0])
    feed.run()
    assert asked == ([[(0, 0)]] if is_asked else [])
    assert follower.taken == [(0, 0), (0, 1)]


def test_s3_brokers_that_stay_away_are_asked_about_once_a_second() -> None:
    assigned: list[int] = []

    class Checker:
        def assign(self, places: list[TopicPartition]) -> None:  # noqa: ARG002
            assigned.append(feed.now_ns)

        def consume(self, number: int, timeout_s: float) -> list[Message]:  # noqa: ARG002
            return []

        def close(self) -> None:
            pass

    class Away(Feed):
        def _checker(self) -> Any:
            return Checker()

    def lose_again() -> None:
        feed.now_ns += 300_000_000
        feed.lose()

    feed = Away(Follower(), record(0, 0), *[lose_again, None] * 10, ends=[1, 0])
    feed.run()
    apart = [later - former for former, later in itertools.pairwise(assigned)]
    assert len(apart) >= 3
    assert min(apart) >= following.DOUBT_APART_NS


def test_who_waits_for_what_does_not_come_has_its_answer_in_time_and_after_the_end() -> None:
    feed = Feed(Follower(), ends=[0, 0])
    assert feed.wait(lambda: True, 0)
    assert not feed.wait(lambda: False, 0)
    feed.close()
    assert not feed.wait(lambda: False, 60)


def test_a_feed_may_be_closed_before_it_was_started_and_more_than_once() -> None:
    feed = Feed(Follower(), ends=[0, 0])
    feed.close()
    feed.close()
    feed.start()
    feed.close()
    assert feed.assigned == []


def test_readers_join_no_group_commit_nothing_and_see_committed_records_alone() -> None:
    options = reader_options("one:9092", "view", {"security.protocol": "SSL"})
    assert options["isolation.level"] == "read_committed"
    assert options["enable.auto.commit"] is False
    assert options["enable.partition.eof"] is True
    assert options["security.protocol"] == "SSL"
    again = reader_options("one:9092", "view", {})
    assert options["group.id"] != again["group.id"]


def test_options_of_the_caller_stand_above_ours() -> None:
    assert client_options("one:9092", "view", {})["socket.timeout.ms"] == 4_000
    assert client_options("one:9092", "view", {"socket.timeout.ms": 9})["socket.timeout.ms"] == 9
