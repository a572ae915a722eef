"""Follows section-status and tells what it reads to `SectionStatuses`."""

from collections.abc import Callable, Sequence

from confluent_kafka import Message

from state.kafka.options import KafkaOptions
from state.views.availability.contents import Change, Contents
from state.views.availability.statistics import ViewCounters
from state.views.availability.statuses import SectionStatuses
from state.views.following.feed import BroadcastFeed

NAME = "availability-view"


class StatusFeed(BroadcastFeed[Contents]):
    """The view's thread, from `start` to `close`; attributes as in BroadcastFeed."""

    def __init__(
        self,
        brokers: str,
        topic: str,
        statuses: SectionStatuses,
        *,
        heartbeat_ms: int,
        kafka: KafkaOptions,
        clock_ns: Callable[[], int],
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            brokers,
            topic,
            _Told(statuses),
            name=NAME,
            heartbeat_ms=heartbeat_ms,
            kafka=kafka,
            clock_ns=clock_ns,
            confirm=confirm,
        )


class _Told:
    """Hands records to statuses that know no broker."""

    def __init__(self, statuses: SectionStatuses) -> None:
        self._statuses = statuses
        self.new_reading = statuses.new_reading
        self.changed = statuses.changed
        self.publish = statuses.publish
        self.refreshed = statuses.refreshed
        self.troubled = statuses.troubled

    @property
    def trouble(self) -> str:
        return self._statuses.trouble

    @property
    def counters(self) -> ViewCounters:
        return self._statuses.counters

    def take(self, reading: Contents, records: Sequence[Message]) -> list[Change]:
        return reading.take(records)
