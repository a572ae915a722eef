"""Outcomes that commands led to now, compared with those that lie in the topic, one by one."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scripts.auditing.report import differences, offset_of
from scripts.auditing.topics import LogRecord

Named = tuple[str, dict[str, Any]]

EXCERPT_LINES = 6


class Finding(NamedTuple):
    """Something that is not as it must be; offset: of the command."""

    kind: str
    partition: int
    offset: int
    message: str
    excerpt: tuple[str, ...] = ()


@dataclass(slots=True)
class Findings:
    """What was found: how much of each kind, and the first of each."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, Finding] = field(default_factory=dict)

    def add(self, found: Finding) -> None:
        """Count one."""
        self.counts[found.kind] = self.counts.get(found.kind, 0) + 1
        self.first.setdefault(found.kind, found)


class Heard:
    """The outcomes of one partition in the topic, in their order.

    records: from the first one that may be compared on.
    decode:  value -> name and fields; None for a stranger's.
    """

    def __init__(
        self,
        partition: int,
        records: Iterator[LogRecord],
        decode: Callable[[bytes], Named | None],
        findings: Findings,
    ) -> None:
        self._partition = partition
        self._records = records
        self._decode = decode
        self._findings = findings
        self._pending: deque[tuple[bytes | None, bytes]] = deque()
        self._recent: deque[str] = deque(maxlen=EXCERPT_LINES)
        self._next: LogRecord | None = next(records, None)
        self.equal = self.foreign = self.compared_from = 0
        self.read_to = self._next.offset if self._next is not None else None

    def skip_before(self, offset: int, *, is_cut: bool) -> None:
        """Pass what commands before an offset led to.

        is_cut: retention removed outcomes that may have been of later ones. Then nothing is
                expected of commands before the first one that is still told of.
        """
        while self._next is not None:
            named = self._decode(self._next.value or b"")
            if named is not None and (at := offset_of(named[1]["outcomeId"])) >= offset:
                self.compared_from = at if is_cut else 0
                return
            self.foreign += named is None
            self._advance()

    def expect(self, key: bytes | None, value: bytes) -> None:
        """Note what must come next."""
        if self.compared_from and self._offset_in(value) < self.compared_from:
            return
        self._pending.append((key, value))

    def _offset_in(self, value: bytes) -> int:
        named = self._decode(value)
        return -1 if named is None else offset_of(named[1]["outcomeId"])

    def compare(self, applied: int) -> None:
        """Compare what is there with all that is expected; applied: the last command decided."""
        while self._pending:
            record = self._next
            if record is None:
                self._missing(len(self._pending))
                return
            key, value = self._pending[0]
            if record.key == key and record.value == value:
                self.equal += 1
                self._pending.popleft()
                self._advance()
            elif not self._is_other(record, applied):
                return

    def end(self, behind: int) -> None:
        """Judge what is left in the topic of commands before an offset, which led to nothing."""
        while self._next is not None:
            named = self._decode(self._next.value or b"")
            if named is None:
                self.foreign += 1
            elif offset_of(named[1]["outcomeId"]) >= behind:
                return
            elif offset_of(named[1]["outcomeId"]) >= self.compared_from:
                self._phantom(self._next, named)
            self._advance()

    def _advance(self) -> None:
        self._next = next(self._records, None)
        if self._next is not None:
            self.read_to = self._next.offset
        elif self.read_to is not None:
            self.read_to += 1

    def _is_other(self, record: LogRecord, applied: int) -> bool:
        """Judge a record that is not the one expected next; say whether to go on comparing."""
        named = self._decode(record.value or b"")
        if named is None:
            self.foreign += 1
            self._advance()
            return True
        outcome_id = named[1]["outcomeId"]
        if offset_of(outcome_id) < self.compared_from:
            self._advance()
            return True
        for place, (key, value) in enumerate(self._pending):
            wanted = self._decode(value)
            assert wanted is not None, "our own outcome cannot be read"
            if wanted[1]["outcomeId"] == outcome_id:
                self._missing(place)
                self._pending.popleft()
                self._judge(record, named, key, wanted)
                self._advance()
                return True
        if offset_of(outcome_id) > applied:
            self._missing(len(self._pending))
            return False
        self._phantom(record, named)
        self._advance()
        return True

    def _judge(self, record: LogRecord, named: Named, key: bytes | None, wanted: Named) -> None:
        # Told by an earlier release it has other bytes, and says the same.
        if (record.key, named) == (key, wanted):
            self.equal += 1
            return
        message = differences(wanted[0], wanted[1], named[0], named[1])
        if record.key != key:
            message = f"key {record.key!r} instead of {key!r}"
        self._find("wrong outcome", wanted, message, f"in the topic at {record.offset}: {named}")

    def _missing(self, count: int) -> None:
        for _ in range(count):
            _, value = self._pending.popleft()
            wanted = self._decode(value)
            assert wanted is not None, "our own outcome cannot be read"
            self._find("lost outcome", wanted, f"{wanted[0]} is missing")

    def _phantom(self, record: LogRecord, named: Named) -> None:
        self._find(
            "phantom outcome", named, f"{named[0]} at offset {record.offset}: no command led to it"
        )

    def _find(self, kind: str, named: Named, message: str, *more: str) -> None:
        name, fields = named
        outcome_id = str(fields["outcomeId"])
        lines = (f"{name} {outcome_id} {str(fields)[:200]}", *(one[:240] for one in more))
        found = Finding(
            kind, self._partition, offset_of(outcome_id), f"{outcome_id}: {message}", lines
        )
        self._findings.add(found)
