"""A topic that a process follows: how it begins, becomes ready, fails and ends.

    class AvailabilityView(SectionStatuses, LiveView):    # SectionStatuses knows no broker
        def __init__(self, brokers, ..., **reach: Unpack[Reach]):
            source = Source(brokers, SECTION_STATUS, **reach)
            ...
            self._feed = source.followed(self, NAME)

A view is its look-ups over what was read, and this beside them.
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
from state.views.availability.answers import boot_clock_ns
from state.views.following.feed import BroadcastFeed, Follower, Starts, from_the_beginning
from state.views.following.reading import Learn, Reading
from state.views.following.unknown_ids import UnknownIds

PINS_ONLY: Final = SchemaSource("", Path())
"""The ids that are pinned in the repository, without a registry."""

ReadingT = TypeVar("ReadingT", bound=Reading)


class Reach(TypedDict, total=False):
    """How a view may be told to reach its topic, beside the brokers; see `Source`."""

    topic: str
    heartbeat_ms: int
    schemas: SchemaSource
    kafka: KafkaOptions
    clock_ns: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a view reads.

    brokers:  host:port, separated by commas.
    records:  the topic whose records are read.
    topic:    what it is called there; empty for its own name.
    heartbeat_ms: how often the brokers are asked for the topic's end: the age of an answer on an
              idle topic runs up to this and an answer's time.
    schemas:  where schema ids come from; the pinned ones without a registry.
    kafka:    further options of librdkafka, such as for TLS and SASL.
    clock_ns: never goes back.
    """

    brokers: str
    records: Topic
    topic: str = ""
    heartbeat_ms: int = 500
    schemas: SchemaSource = PINS_ONLY
    kafka: KafkaOptions = field(default_factory=lambda: NO_OPTIONS)
    clock_ns: Callable[[], int] = boot_clock_ns

    def decoder(self) -> TopicDecoder:
        """Return what reads the records; raises as `SchemaSource.ids`."""
        return TopicDecoder(self.records, self.schemas.ids())

    def learning(self, decoder: TopicDecoder) -> Learn:
        """Return what asks for ids that a decoder does not know."""
        return UnknownIds(self.schemas, decoder, self.clock_ns).learn

    def followed(
        self, follower: Follower[ReadingT], name: str, starts: Starts = from_the_beginning
    ) -> BroadcastFeed[ReadingT]:
        """Return the feed of the topic, which connects to nothing before its start.

        name: of its thread, and of its clients at the brokers.
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
    """The view has not read the topic to its end in time, or cannot.

    Operator action: the text names what the brokers say; with nothing said, allow more time.
    """


class Live(ABC):
    """What every view of a topic can do besides its look-ups.

    trouble: why the topic cannot be followed now; empty while it can.
    """

    trouble: str
    _feed: BroadcastFeed[Any]

    @abstractmethod
    def is_ready(self) -> bool:
        """Say whether the topic was read to the ends that it had at start."""

    @abstractmethod
    def end_waits(self) -> None:
        """Have everybody who waits answered now, and nobody wait any more."""

    def start(self) -> None:
        """Begin to read the topic, in a thread; return at once."""
        self._feed.start()

    @property
    def failure(self) -> BaseException | None:
        """What ended the thread, a mistake of ours; None while it runs."""
        return self._feed.failure


class LiveView(Live):
    """A view that any thread may ask; a context manager that starts and closes it."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_ready(self, timeout_s: float) -> None:
        """Return when the topic was read to the ends that it had at start.

        Raises TopicMissing at once where the brokers do not have it, NotReady after `timeout_s`.
        The thread goes on trying: whoever calls again may be luckier.
        """
        if not self._feed.wait(self.is_ready, timeout_s):
            raise NotReady(self.trouble or f"not read to its end in {timeout_s} s")

    def close(self) -> None:
        """End the thread and all waits; look-ups go on answering, ever more stale."""
        self._feed.close()
        self._feed.news.set()
        self.end_waits()
