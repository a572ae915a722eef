"""Where a stream of an event's availability is, told so that any pod can go on from there.

A position is the offset of the newest record of the event's sections on each partition: the same
in every pod that knows the same records, and kept by compaction. So what a client misses are the
sections whose record lies behind it, however long the client was away and whichever pod it asks.
Four things cannot be told this way, and make the stream begin anew: the topic is another one, the
event has other sections, this pod has not read as far as the one that the client comes from, or
nothing shows any more that the records at these offsets are those that the client knows. A log
that was restored has others there; so what they said is in the position too, as a tag.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Self

from state.views.availability.contents import Told
from state.views.availability.snapshot import EventSnapshot

TEXT_BYTES_MAX: Final = 4_096

_TEXT: Final = re.compile(
    r"([0-9a-f]{8})\.([0-9a-f]{8})\.([0-9a-f]{8})\.((?:[0-9]{1,5}:[0-9]{1,19})(?:-[0-9]{1,5}:[0-9]{1,19})*)"
)


@dataclass(frozen=True, slots=True)
class Position:
    """A position.

    topic:    tag of the topic's id at the brokers.
    sections: tag of the names of the event's sections.
    proof:    tag of what the records at `offsets` say.
    offsets:  highest offset of the event's sections by partition.
    """

    topic: str
    sections: str
    proof: str
    offsets: dict[int, int]

    @classmethod
    def of(cls, snapshot: EventSnapshot, topic_id: str) -> Self:
        """Return where a client is that knows this snapshot."""
        names = f"{snapshot.event_id} {' '.join(snapshot.known_by_section)}"
        offsets = snapshot.position_by_partition()
        proof = _proof(offsets, _told_in(snapshot))
        return cls(_tag(topic_id), _tag(names), proof or _tag(""), offsets)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the position that `str` told; None for anything else."""
        match = _TEXT.fullmatch(text) if len(text) <= TEXT_BYTES_MAX else None
        if match is None:
            return None
        pairs = [pair.split(":") for pair in match[4].split("-")]
        return cls(
            match[1], match[2], match[3], {int(number): int(offset) for number, offset in pairs}
        )

    def __str__(self) -> str:
        pairs = "-".join(f"{number}:{offset}" for number, offset in sorted(self.offsets.items()))
        return f"{self.topic}.{self.sections}.{self.proof}.{pairs}"

    def is_ahead_of(self, positions: Sequence[int]) -> bool:
        """Say whether a client here knows records that a reader of the topic does not.

        positions: the offset that the reader takes in next, of each partition.
        """
        return any(
            number >= len(positions) or offset >= positions[number]
            for number, offset in self.offsets.items()
        )

    def is_of_topic(self, topic_id: str) -> bool:
        return self.topic == _tag(topic_id)

    def is_proved(
        self, snapshot: EventSnapshot, recent: Callable[[int, int], Told | None]
    ) -> bool:
        """Say whether the records at the offsets are those that the client knows.

        recent: what a record said that was read lately, by partition and offset.
        """
        newest = _told_in(snapshot)
        told = {place: newest.get(place) or recent(*place) for place in self.offsets.items()}
        return self.proof == _proof(self.offsets, told)

    def missed(self, snapshot: EventSnapshot) -> list[str]:
        """Return the sections that changed since; the position is of the same topic and event."""
        missed = []
        for name, (*_, partition, offset) in snapshot.known_by_section.items():
            number = partition if partition >= 0 else ~partition
            if offset > self.offsets.get(number, -1):
                missed.append(name)
        return missed


def _told_in(snapshot: EventSnapshot) -> dict[tuple[int, int], Told | None]:
    # Thousands may come back at once, all of them to the same snapshot.
    told: dict[tuple[int, int], Told | None] | None = snapshot.derived.get(_told_in)
    if told is None:
        told = snapshot.derived[_told_in] = {
            (number if number >= 0 else ~number, offset): (snapshot.event_id, name, counts)
            for name, (*counts, number, offset) in snapshot.known_by_section.items()
        }
    return told


def _proof(offsets: Mapping[int, int], told: Mapping[tuple[int, int], Told | None]) -> str:
    """Return the tag of what lies at the offsets; empty where that is not known."""
    said = [told.get(place) for place in sorted(offsets.items())]
    if None in said:
        return ""
    return _tag(repr(said))


def _tag(text: str) -> str:
    return blake2b(text.encode(), digest_size=4).hexdigest()
