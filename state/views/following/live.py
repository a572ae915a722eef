"""What every view of a topic does besides its look-ups: it begins, becomes ready, fails, ends.

    class AvailabilityView(SectionStatuses, LiveView):    # SectionStatuses knows no broker
        def __init__(self, brokers, ..., **reach: Unpack[Reach]):
            source = Source(brokers, SECTION_STATUS, **reach)
            ...
            self._feed = source.followed(self, NAME)

A view class has two bases: one with the look-ups over what was read, and `LiveView` from here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypedDict, TypeVar

from infra.process.kafka_security import NO_OPTIONS, KafkaOptions
from schemas.topics import Topic
from serdes.decoding import TopicDecoder
from serdes.schema_source import SchemaSource
from state.views.following.ages import boot_clock_ns
from state.views.following.feed import BroadcastFeed, Follower, Starts, from_the_beginning
from state.views.following.reading import Learn, Reading
from state.views.following.unknown_ids import UnknownIds

PINS_ONLY: Final = SchemaSource("", Path())
"""Knows the schema ids that are pinned in the repository, and asks no registry."""

ReadingT = TypeVar("ReadingT", bound=Reading)


class Reach(TypedDict, total=False):
    """The optional arguments with which a view reaches its topic; see `Source`."""

    topic: str
    heartbeat_ms: int
    schemas: SchemaSource
    kafka: KafkaOptions
    clock_ns: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Source:
    """Where and how a view reads its topic.

    brokers:  host:port, separated by commas.
    records:  the topic of the catalogue whose records the view reads.
    topic:    the topic's name at these brokers; empty for the catalogue's name.
    heartbeat_ms: time between two questions for the topic's end. On an idle topic the age of an
              answer reaches this time and that of one question.
    schemas:  where schema ids come from; by default the pinned ids, without a registry.
    kafka:    further options of librdkafka, such as those for TLS and SASL.
    clock_ns: a clock that never goes back.
    """

    brokers: str
    records: Topic
    topic: str = ""
    heartbeat_ms: int = 500
    schemas: SchemaSource = PINS_ONLY
    kafka: KafkaOptions = field(default_factory=lambda: NO_OPTIONS)
    clock_ns: Callable[[], int] = boot_clock_ns

    def decoder(self) -> TopicDecoder:
        """Return a decoder of the topic's records; raises as `SchemaSource.ids`."""
        return TopicDecoder(self.records, self.schemas.ids())

    def learning(self, decoder: TopicDecoder) -> Learn:
        """Return a function that asks for a schema id which the decoder does not know."""
        return UnknownIds(self.schemas, decoder, self.clock_ns).learn

    def followed(
        self, follower: Follower[ReadingT], name: str, starts: Starts = from_the_beginning
    ) -> BroadcastFeed[ReadingT]:
        """Return a feed of the topic for a follower; the feed connects to nothing before `start`.

        name: name of the feed's thread, and of its clients at the brokers.
        """
        return BroadcastFeed(
            self.brokers,
            self.topic or self.records.name,
            follower,
            name=name,
            heartbeat_ms=self.heartbeat_ms,
            kafka=self.kafka,
            clock_ns=self.clock_ns,
            starts=starts,
            confirm=self.schemas.confirm,
        )


class NotReady(Exception):
    """The view has not read the topic to its end in time, or cannot read it.

    Operator action: the message names the brokers' error; where it names none, allow more time.
    """


class Live(ABC):
    """What every view of a topic can do besides its look-ups.

    trouble: why the view cannot follow the topic now; empty while it can.
    """

    trouble: str
    _feed: BroadcastFeed[Any]

    @abstractmethod
    def is_ready(self) -> bool:
        """Say whether the view has read the topic to the ends that it had at start."""

    @abstractmethod
    def end_waits(self) -> None:
        """Answer everybody who waits now, and let nobody wait any more."""

    def start(self) -> None:
        """Begin to read the topic, in a thread; return at once."""
        self._feed.start()

    @property
    def failure(self) -> BaseException | None:
        """The error that ended the thread, which is a bug; None while the thread runs."""
        return self._feed.failure


class LiveView(Live):
    """A view that any thread may ask. It is a context manager, which starts and closes it."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_ready(self, timeout_s: float) -> None:
        """Return once the view has read the topic to the ends that it had at start.

        Raises TopicMissing at once where the brokers do not have the topic, and NotReady after
        `timeout_s`. The thread goes on trying, so a later call may succeed.
        """
        if not self._feed.wait(self.is_ready, timeout_s):
            raise NotReady(self.trouble or f"not read to its end in {timeout_s} s")

    def close(self) -> None:
        """End the thread and all waits. Look-ups still answer, with an age that grows."""
        self._feed.close()
        self._feed.news.set()
        self.end_waits()
