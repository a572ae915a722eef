"""What is written down of a rebuild: how far it is, so that whoever comes next goes on there.

The records lie among the dead letters, as all that operators do; each is written behind a fence,
so that of two who rebuild at once only the later one goes on.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from schemas.topics import DEAD_LETTER_QUEUE
from scripts.auditing.topics import LogRecord, reading
from scripts.brokers.actions import ACTION, headers_of
from scripts.brokers.addresses import Servers
from scripts.brokers.reading import read_spans, spans_of
from scripts.letters.letter import Sent, text

NAME = "rebuild"
PARTITION = 0


class Step(StrEnum):
    """How far a rebuild is: it has begun, it removes what is old, it is done or was given up."""

    BEGUN = "begun"
    CUT = "cut"
    DONE = "done"
    GIVEN_UP = "given-up"


class Entry(NamedTuple):
    """One line of the journal; begins: by partition, the end of the topic when it began."""

    run: str
    step: Step
    begins: tuple[int, ...]

    @property
    def by_partition(self) -> dict[int, int]:
        return dict(enumerate(self.begins))


def key_of(topic: str) -> bytes:
    """Return the key of all lines of a topic."""
    return f"{NAME}-{topic}".encode()


def record_of(topic: str, entry: Entry, who: str, why: str, now_ms: int) -> Sent:
    """Return the record of a line."""
    told = {
        "action": NAME,
        "place": topic,
        "run": entry.run,
        "step": entry.step.value,
        "to": ",".join(map(str, entry.begins)),
        "by": who,
        "reason": why,
        "at-ms": str(now_ms),
    }
    return Sent(DEAD_LETTER_QUEUE.name, PARTITION, key_of(topic), None, headers_of(told))


def entry_of(topic: str, record: LogRecord) -> Entry | None:
    """Return the line of a topic that a record is, or None."""
    said = {name: text(content) for name, content in record.headers}
    offsets = said.get(ACTION + "to", "").split(",")
    if record.key != key_of(topic) or said.get(ACTION + "action") != NAME:
        return None
    if not all(one.isascii() and one.isdecimal() and len(one) <= 19 for one in offsets):
        return None
    try:
        step = Step(said.get(ACTION + "step", ""))
    except ValueError:
        return None
    return Entry(said.get(ACTION + "run", ""), step, tuple(map(int, offsets)))


def unfinished(entries: Iterable[Entry], ends: Mapping[int, int]) -> Entry | None:
    """Return the last line where it is of a rebuild under way of the topic that has these ends.

    One of a topic that was created again since is over: there its offsets mean nothing.
    """
    last = next(reversed([*entries]), None)
    if last is None or last.step in {Step.DONE, Step.GIVEN_UP}:
        return None
    is_same = last.by_partition.keys() == ends.keys() and all(
        begin <= ends[part] for part, begin in last.by_partition.items()
    )
    return last if is_same else None


def was_verified(entries: Iterable[Entry]) -> bool:
    """Say whether a rebuild of the topic came so far that pods may read it since."""
    return any(entry.step in {Step.CUT, Step.DONE} for entry in entries)


def read_journal(where: Servers) -> list[Entry]:
    """Return all lines, oldest first; raises CannotRead. Waits for open transactions."""
    spans = {PARTITION: spans_of(where, DEAD_LETTER_QUEUE)[PARTITION]}
    with reading(where) as consumer:
        found = (
            entry_of(where.status.name, one)
            for _, one in read_spans(consumer, DEAD_LETTER_QUEUE, spans)
        )
        return [entry for entry in found if entry is not None]
