"""Dead letters and marks of what was sent back, as they lie in their topic.

A mark is a record of the same partition, behind its letter: retention removes from the front, so
that no letter outlives what says that it was sent.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.topics import PAYMENT_COMMANDS, TOPICS
from scripts.auditing.families.dead_letters import is_of_operator
from scripts.auditing.topics import LogRecord
from scripts.brokers.roles import SOURCES
from state.domain.keys import partition_of
from streams.folding.ticks import is_tick_key
from streams.working.answers import OURS

Headers = Sequence[tuple[str, bytes | None]]

PREFIX: Final = "dead-letter-"
MARK: Final = "redrive-"
REDRIVEN_FROM: Final = "redriven-from"
"""Header of a record that was sent back: the id of the original."""

LOST: Final = "LOST"
BY_KEY: Final = SOURCES.keys() - {PAYMENT_COMMANDS.name}
"""Topics whose records lie on the partition of their key, but for what workers send themselves."""

_BYTES_MAX: Final = {
    # Kafka's own default where a topic sets none.
    topic.name: int(topic.configs().get("max.message.bytes", 1_048_588))
    for topic in TOPICS
}
# Of a batch, of lengths, and of the header that is added.
_OVERHEAD_BYTES, _HEADER_BYTES = 512, 10


class Origin(NamedTuple):
    """Where the original lay; timestamp in Unix ms.

    The timestamp tells a topic that was created again from the one before.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int

    @property
    def id(self) -> str:
        """Return the id under which it is sent back at most once."""
        return f"{self.topic}-{self.partition}:{self.offset}@{self.timestamp}"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    partition, offset: where it lies in its own topic. at_ms: since when, Unix ms.
    headers: those of the original that were kept. told: ours, without their prefix.
    cut:     why it is not the whole original; empty where it is.
    """

    partition: int
    offset: int
    at_ms: int
    origin: Origin
    cause: str
    message: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    told: dict[str, str]
    cut: str

    @property
    def place(self) -> str:
        """Return where it lies, as `show` takes it."""
        return f"{self.partition}:{self.offset}"

    @property
    def unsendable(self) -> str:
        """Say why it cannot be sent back as it is; empty where it can."""
        if self.cause == LOST:
            return "nothing is left of what was lost"
        if self.origin.topic not in SOURCES:
            return f"no worker reads {self.origin.topic[:80]}"
        return self.cut or self._too_large()

    @property
    def order(self) -> tuple[str, int, int, int, int]:
        """Return its place among all letters; one that failed again keeps that of its first time.

        Else it would stand behind later records of its key, which wait for it.
        """
        origin = self.origin
        first = next((text(said) for name, said in self.headers if name == REDRIVEN_FROM), "")
        before, _, place = first.partition(":")
        offset, timestamp = map(_number, place.partition("@")[::2])
        if before != f"{origin.topic}-{origin.partition}" or offset is None or timestamp is None:
            offset, timestamp = origin.offset, origin.timestamp
        return origin.topic, origin.partition, offset, timestamp, self.offset

    def _too_large(self) -> str:
        """Say that no broker would take it: one such would stop all that are sent with it."""
        size = _OVERHEAD_BYTES + len(self.key or b"") + len(self.value or b"")
        size += sum(
            _HEADER_BYTES + len(name.encode()) + len(content or b"")
            for name, content in self.headers
        )
        most = _BYTES_MAX[self.origin.topic]
        return f"{size} bytes, {self.origin.topic} takes {most}" if size > most else ""

    def partition_to(self, partitions: int) -> int:
        """Return the partition that it is sent back to; partitions: of its topic."""
        key = self.key
        if key is None or self.origin.topic not in BY_KEY:
            return self.origin.partition
        is_ours = is_tick_key(key) or key.startswith(OURS)
        return self.origin.partition if is_ours else partition_of(key, partitions)


@dataclass(frozen=True, slots=True)
class Mark:
    """What says that a record was sent back."""

    origin_id: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """A record that is neither, with the reason."""

    partition: int
    offset: int
    why: str


def read_letter(partition: int, record: LogRecord) -> Letter | Mark | Foreign:
    """Return what a record of the topic of dead letters is."""
    said = {name: text(content) for name, content in record.headers}
    if is_of_operator(record):
        # Of other actions, such as a group that was moved, nothing was sent back.
        return Mark(said.get(MARK + "of", ""))
    told = {
        name.removeprefix(PREFIX): content
        for name, content in said.items()
        if name.startswith(PREFIX)
    }
    numbers = [_number(told.get(name)) for name in ("partition", "offset", "timestamp")]
    if "cause" not in told or "topic" not in told or None in numbers:
        return Foreign(partition, record.offset, "its headers do not say what it was")
    at, offset, timestamp = (number for number in numbers if number is not None)
    if at != partition:
        return Foreign(partition, record.offset, f"it says to be of partition {at}")
    kept = _kept(record.headers, told)
    return Letter(
        partition,
        record.offset,
        record.timestamp,
        Origin(told["topic"], at, offset, timestamp),
        told["cause"],
        told.get("message", ""),
        record.key,
        record.value,
        record.headers[:kept],
        told,
        _cut(record, told, kept),
    )


def text(content: bytes | None) -> str:
    """Return a header's value as text, whatever a stranger wrote into it."""
    return (content or b"").decode("utf-8", "backslashreplace")


def _number(said: str | None) -> int | None:
    # A sign is for timestamps, which a producer may set to -1.
    digits = (said or "").removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 19:
        return None
    return int(said or "")


def _kept(headers: Headers, told: dict[str, str]) -> int:
    """Return how many of the first headers are the original's."""
    said = _number(told.get("headers-kept"))
    if said is not None:
        return max(0, min(said, len(headers)))
    # Older letters do not say so: ours are those at the end.
    count = len(headers)
    while count and headers[count - 1][0].startswith(PREFIX):
        count -= 1
    return count


def _cut(record: LogRecord, told: dict[str, str], kept: int) -> str:
    length = _number(told.get("value-bytes"))
    if length is not None and length != len(record.value or b""):
        return f"its value was cut: {len(record.value or b'')} of {length} bytes are left"
    if (_number(told.get("header-count")) or 0) > kept:
        return f"its headers were cut: {kept} of {told['header-count']} are left"
    if told.get("header-names"):
        return "a header has a name that is no UTF-8, which cannot be sent"
    return ""


class Sent(NamedTuple):
    """One record that is sent back, as it is: topic, partition, key, value, headers."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def sent_back(letter: Letter, partitions: int, value: bytes | None) -> Sent:
    """Return the record that is sent for a letter; value: the original's, or one made of it."""
    headers = (*letter.headers, (REDRIVEN_FROM, letter.origin.id.encode()))
    to = letter.partition_to(partitions)
    return Sent(letter.origin.topic, to, letter.key, value, headers)


def mark_of(letter: Letter, sent: Sent, who: str, why: str, now_ms: int) -> Headers:
    """Return the headers of the mark of a record that is sent back; it has no value."""
    told = {
        "of": letter.origin.id,
        "letter": letter.place,
        "cause": letter.cause,
        "to": f"{sent.topic}-{sent.partition}",
        "sha256": hashlib.sha256(sent.value or b"").hexdigest(),
        "changed": str(sent.value != letter.value).lower(),
        "by": who,
        "reason": why,
        "at-ms": str(now_ms),
    }
    return [
        (MARK + name, content.encode("utf-8", "backslashreplace"))
        for name, content in told.items()
    ]
