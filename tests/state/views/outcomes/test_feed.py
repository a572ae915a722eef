"""The outcome feed without its thread: the test tells what the thread would tell."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import (
    OFFSET_INVALID,
    IsolationLevel,
    KafkaException,
    Message,
    TopicPartition,
)
from hypothesis import given
from hypothesis import strategies as st
from support.pods.conditions import until
from support.seats.section_commands import hold, opened, release

from state.domain.outcome import Outcome, OutcomeKind
from state.domain.reservation import Status
from state.kafka.ends import END, NEWEST
from state.views.following.heartbeat import TopicIdentity
from state.views.outcomes.contents import OutcomeContents
from state.views.outcomes.feed import (
    CLOCK_SKEW_MS,
    LOOK_BACK_MS,
    OutcomeFeed,
)
from state.views.outcomes.waiters import WaitsEnded

NEWEST_MS = 1_764_000_000_000
# Stable end, newest record's time, first offset within the look-back; -1 where there is none.
PARTITIONS = ((0, -1, -1), (40, NEWEST_MS, 7), (5, NEWEST_MS - 3 * LOOK_BACK_MS, -1))


class Brokers:
    """Answers offset questions as an admin client does, and notes the order of the questions."""

    def __init__(self, partitions: tuple[tuple[int, int, int], ...] = PARTITIONS) -> None:
        self.asked: list[str] = []
        self._partitions = partitions

    def list_offsets(
        self,
        specs: Mapping[TopicPartition, Any],
        *,
        isolation_level: IsolationLevel | None = None,
        request_timeout: float,  # noqa: ARG002
    ) -> dict[TopicPartition, "Future[Any]"]:
        answers = {}
        for place, spec in specs.items():
            end, newest_ms, first = self._partitions[place.partition]
            if spec is END:
                assert isolation_level is IsolationLevel.READ_COMMITTED
                kind, answer = "end", SimpleNamespace(offset=end)
            elif spec is NEWEST:
                offset = end - 1 if newest_ms >= 0 else newest_ms
                kind, answer = "newest", SimpleNamespace(timestamp=newest_ms, offset=offset)
            else:
                kind, answer = "first", SimpleNamespace(offset=first)
            self.asked.append(kind)
            answers[place] = Future[Any]()
            answers[place].set_result(answer)
        return answers


def test_a_partition_without_young_outcomes_is_read_from_the_end_it_had_when_first_asked() -> None:
    brokers = Brokers()
    feed = OutcomeFeed("127.0.0.1:1")
    starts = feed._starts(brokers, TopicIdentity("outcomes", "", 3))  # type: ignore[arg-type]
    assert [(at.partition, at.offset) for at in starts] == [(0, 0), (1, 7), (2, 5)]
    assert brokers.asked[:3] == ["end"] * 3


@pytest.mark.parametrize(
    "silent",
    [
        pytest.param((OFFSET_INVALID, NEWEST_MS, 7), id="where it ends"),
        pytest.param((9, OFFSET_INVALID, 7), id="how young it is"),
        pytest.param((9, NEWEST_MS, OFFSET_INVALID), id="where the look-back begins"),
    ],
)
def test_without_every_answer_nothing_is_begun(silent: tuple[int, int, int]) -> None:
    feed = OutcomeFeed("127.0.0.1:1")
    brokers = Brokers((silent,))
    with pytest.raises(KafkaException):
        feed._starts(brokers, TopicIdentity("outcomes", "", 1))  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 50),
            st.just(-1) | st.integers(0, 4 * LOOK_BACK_MS),
            st.just(-1) | st.integers(0, 50),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_no_partition_is_begun_behind_the_end_it_had_and_nothing_older_is_kept(
    told: list[tuple[int, int, int]],
) -> None:
    partitions = tuple((end, newest, min(first, end)) for end, newest, first in told)
    feed = OutcomeFeed("127.0.0.1:1")
    identity = TopicIdentity("outcomes", "", len(partitions))
    starts = feed._starts(Brokers(partitions), identity)  # type: ignore[arg-type]
    for at, (end, _, first) in zip(starts, partitions, strict=True):
        assert at.offset == (first if first >= 0 else end)
    newest_ms = max(newest for _, newest, _ in partitions)
    assert feed._since_ms == max(0, newest_ms - LOOK_BACK_MS) + CLOCK_SKEW_MS


# --- what is known, and who waits ---------------------------------------------------------------

RESERVATION = b"r1"


class Hearing(OutcomeFeed):
    """A feed whose thread and clock are the test's; its topic has one partition."""

    def __init__(self) -> None:
        self.at_ns = 10**12
        super().__init__("127.0.0.1:1", clock_ns=lambda: self.at_ns)
        self.reading = self.new_reading(1, "")

    def start(self) -> None:
        """Begin without a thread."""
        self._loop = asyncio.get_running_loop()

    def hear(self, values: Sequence[bytes]) -> list[Outcome]:
        """Do as the thread does with records that came at once; return who is told what."""
        position = self.reading.partitions[0].position
        records = [
            Message(topic="outcomes", partition=0, offset=position + at, value=value)
            for at, value in enumerate(values)
        ]
        wanted = self.take(self.reading, records)
        self.reading.partitions[0].reached(position + len(values))
        if wanted:
            self.changed(self.reading, wanted)
        return wanted

    def beat(self, asked_ns: int | None = None) -> None:
        """Have the brokers answer a heartbeat: nothing is behind what was read."""
        partition = self.reading.partitions[0]
        partition.ends_at(partition.position, self.at_ns if asked_ns is None else asked_ns)
        if not self.is_ready():
            self.publish(self.reading)
        self.refreshed()


@pytest.fixture
def values() -> list[bytes]:
    """Give the outcomes of a hold and of its release."""
    partition = opened("......")
    partition.send(hold("r1", 2), release("r1", 1))
    return partition.outcomes[-2:]


def test_f80_before_it_was_read_nothing_is_known_and_nothing_is_new() -> None:
    feed = OutcomeFeed("127.0.0.1:1")
    assert not feed.is_ready()
    assert (feed.partitions, feed.decided(0), feed.get(RESERVATION)) == (0, 0, None)
    assert feed.staleness_ms() > 10 * LOOK_BACK_MS
    feed.told(b"section-commands:0:5:0")
    statistics = feed.statistics()
    assert (statistics.readings, statistics.reservations, statistics.size_bytes) == (0, 0, 0)
    assert not asyncio.run(feed.knows_since(0, feed.now_ns(), 0.01))


def test_a_reading_answers_once_it_is_published_and_the_former_one_until_then(
    values: list[bytes],
) -> None:
    feed = Hearing()
    feed.hear(values[:1])
    assert feed.get(RESERVATION) is None
    feed.beat()
    held = feed.get(RESERVATION)
    assert held is not None
    assert (held.status, feed.partitions) == (Status.HELD, 1)
    feed.reading = feed.new_reading(1, "another")
    feed.hear(values)
    assert feed.get(RESERVATION) == held
    feed.publish(feed.reading)
    released = feed.get(RESERVATION)
    assert released is not None
    assert released.status is Status.RELEASED
    assert feed.statistics().readings == 2


def test_s8_behind_what_somebody_was_told_nothing_is_answered_from_here(
    values: list[bytes],
) -> None:
    feed = Hearing()
    feed.hear(values[:1])
    feed.beat()
    assert feed.get(RESERVATION) is not None
    [told] = decoded(values[1:])
    feed.told(told.outcome_id)
    assert feed.get(RESERVATION) is None
    assert feed.decided(0) == told.command_offset + 1
    feed.hear(values[1:])
    assert feed.get(RESERVATION) is not None


def decoded(values: Sequence[bytes]) -> list[Outcome]:
    """Read outcomes as somebody who wants them all."""
    feed = Hearing()

    async def heard() -> list[Outcome]:
        feed.start()
        with feed.waiting(RESERVATION):
            return feed.hear(values)

    return asyncio.run(heard())


def test_who_waits_is_told_before_the_topic_was_read_to_its_end(values: list[bytes]) -> None:
    """Also what an unfinished reading says is true."""
    feed = Hearing()

    async def scenario() -> Outcome:
        feed.start()
        with feed.waiting(RESERVATION) as waiter:
            assert feed.statistics().waiters == 1
            await asyncio.to_thread(feed.hear, values)
            async with asyncio.timeout(60):
                return await waiter.first(lambda told: told.kind is OutcomeKind.RELEASED)

    assert asyncio.run(scenario()).reservation_id == RESERVATION
    assert feed.statistics().waiters == 0


def test_nobody_is_told_of_a_reservation_that_nobody_waits_for(values: list[bytes]) -> None:
    assert Hearing().hear(values) == []


def test_s8_who_must_be_certain_waits_for_an_answer_to_a_later_question() -> None:
    feed = Hearing()
    feed.beat()

    async def scenario() -> bool:
        feed.start()
        feed.at_ns += 1
        asked_ns = feed.at_ns
        waiting = asyncio.create_task(feed.knows_since(0, asked_ns, 60))
        await until(lambda: feed._asking)
        # Asked before, answered only now: it says nothing of the moment that matters.
        await asyncio.to_thread(feed.beat, asked_ns - 1)
        await until(lambda: feed._asking and not feed._refreshed.is_set())
        assert not waiting.done()
        await asyncio.to_thread(feed.beat)
        return await waiting

    assert asyncio.run(scenario())
    assert feed._asking == 0


def test_what_was_read_already_is_certain_at_once() -> None:
    feed = Hearing()
    feed.beat()
    assert asyncio.run(feed.knows_since(0, feed.at_ns, 0))


@pytest.mark.parametrize("partition", [0, 1])
def test_where_no_answer_comes_nothing_is_certain(partition: int) -> None:
    feed = Hearing()
    feed.beat()
    assert not asyncio.run(feed.knows_since(partition, feed.at_ns + 1, 0.01))
    assert feed._asking == 0


def test_an_end_answers_who_waits_for_an_outcome_and_who_waits_to_be_certain() -> None:
    feed = Hearing()
    feed.beat()

    async def scenario() -> bool:
        feed.start()
        certain = asyncio.create_task(feed.knows_since(0, feed.at_ns + 1, 60))
        await until(lambda: feed._asking)
        with feed.waiting(RESERVATION) as waiter:
            feed.end_waits()
            with pytest.raises(WaitsEnded):
                await waiter.first(lambda _: True)
        return await certain

    assert not asyncio.run(scenario())


def test_a_loop_that_has_ended_is_told_nothing_and_harms_nothing(values: list[bytes]) -> None:
    feed = Hearing()

    async def begun() -> None:
        feed.start()

    asyncio.run(begun())
    with feed.waiting(RESERVATION):
        feed._asking = 1
        assert len(feed.hear(values)) == 2
        feed.beat()
    assert isinstance(feed.reading, OutcomeContents)


def test_a_trouble_is_told_until_it_is_over() -> None:
    feed = Hearing()
    feed.troubled("brokers are down")
    assert feed.statistics().trouble == "brokers are down"
    feed.troubled("")
    assert feed.statistics().trouble == ""
