"""Records of section-status in short form, and a view over them that needs no broker."""

from dataclasses import dataclass, field
from pathlib import Path

from schemas.topics import SECTION_STATUS
from serdes.decoding import TopicDecoder
from serdes.encoding import encoders
from serdes.schema_source import SchemaSource
from state.domain.keys import partition_of, section_key
from state.domain.status import SectionStatus
from state.views.availability.contents import Change
from state.views.availability.snapshot import EventSnapshot
from state.views.availability.statuses import SectionStatuses

IDS = SchemaSource("", Path()).ids()
PARTITIONS = 4
EVENT = 7
MS = 1_000_000

_ENCODE = encoders(SECTION_STATUS, IDS)["io.seatstream.status.SectionStatusEvent"]


def value_of(status: SectionStatus, section: str = "A", event: int = EVENT) -> bytes:
    return _ENCODE(
        event,
        section.encode(),
        status.free,
        status.as_of_ms,
        status.version,
        status.held,
        status.largest_block,
    )


def counts(
    version: int, free: int, *, held: int = 0, largest: int | None = None, as_of_ms: int = 1_000
) -> SectionStatus:
    return SectionStatus(version, as_of_ms, free, held, free if largest is None else largest)


def partition_of_section(section: str = "A", event: int = EVENT) -> int:
    return partition_of(section_key(event, section), PARTITIONS)


class _Fed(SectionStatuses):
    """A view whose questions to the brokers are counted, and answered where told so."""

    def __init__(self, fed: "Fed") -> None:
        super().__init__(fed.decoder, fed.learn, clock_ns=lambda: fed.now_ms * MS)
        self._fed = fed

    def refresh(self) -> None:
        self._fed.asked += 1
        if self._fed.answers:
            self._fed.heartbeat()


@dataclass
class Fed:
    """A view that is fed by hand, with a clock that is set by hand.

    answers: brokers tell that everything was read as soon as they are asked, as most do.
    asked:   how often somebody had them asked.
    """

    now_ms: int = 1_000_000
    answers: bool = False
    asked: int = 0
    schema_ids_asked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.decoder = TopicDecoder(SECTION_STATUS, IDS)
        self.view = _Fed(self)
        self.contents = self.view.new_reading(PARTITIONS)

    def learn(self, schema_id: int) -> bool:
        self.schema_ids_asked.append(schema_id)
        return False

    def feed(self, partition: int, key: bytes | None, value: bytes | None) -> Change | None:
        """Take in one record as the thread does."""
        freshness = self.contents.partitions[partition]
        change = self.contents.apply(partition, freshness.position, key, value)
        freshness.reached(freshness.position + 1)
        self.view.changed(self.contents, [change] if change else [])
        return change

    def tell(self, status: SectionStatus, section: str = "A", event: int = EVENT) -> Change | None:
        return self.feed(
            partition_of_section(section, event),
            section_key(event, section),
            value_of(status, section, event),
        )

    def spoil(self, section: str = "A", value: bytes = b"garbage") -> Change | None:
        return self.feed(partition_of_section(section), section_key(EVENT, section), value)

    def heartbeat(self, asked_ms: int | None = None) -> None:
        """Have every partition answer that it ends where it was read to."""
        asked_ns = (self.now_ms if asked_ms is None else asked_ms) * MS
        for partition in self.contents.partitions:
            partition.ends_at(partition.position, asked_ns)
        if not self.contents.is_published:
            self.view.publish(self.contents)
        self.view.refreshed()


def snapshot_of(fed: Fed) -> EventSnapshot:
    """Return all that is known of event 7, read to its end by now at the latest."""
    if not fed.contents.is_published:
        fed.heartbeat()
    snapshot = fed.view.snapshot(EVENT)
    assert snapshot is not None
    return snapshot


def view_of(made_with: int, found: int, sections: int) -> SectionStatuses:
    """Return a view over a topic whose records were written for fewer partitions than it has."""
    fed = Fed()
    fed.contents = fed.view.new_reading(found)
    for number in range(sections):
        key = section_key(EVENT, f"S{number}")
        value = value_of(counts(1, 5), f"S{number}")
        fed.feed(partition_of(key, made_with), key, value)
    fed.heartbeat()
    return fed.view
