"""I16, I18: each status is its section as it once was, in order, and the last as it is."""

from dataclasses import dataclass, field
from typing import Any

from schemas.topics import SECTION_STATUS
from scripts.auditing.facts import Facts
from scripts.auditing.oracle.seats import Counts, Section
from scripts.auditing.report import Notes
from scripts.auditing.schemas import Unreadable
from scripts.auditing.topics import LogRecord

Where = tuple[int, str]  # event, section


def check(facts: Facts, notes: Notes) -> None:
    """Compare every status with the moments of its section, and the last with the state."""
    published = Published(notes)
    for record in facts.log.statuses.get(facts.partition, []):
        try:
            _, fields = facts.log.wire.decode(record.value or b"", SECTION_STATUS)
        except Unreadable as error:
            notes.foreign(SECTION_STATUS.name, record.offset, str(error))
            continue
        where = (fields["eventId"], fields["section"])
        section = facts.oracle.sections.get(where)
        if facts.read_to is not None and is_newer(fields, section):
            notes.report.ahead += 1
            published.ahead.add(where)
        else:
            published.compare(record, fields, where, section)
    published.end_as(facts.oracle.sections)


def is_newer(fields: dict[str, Any], section: Section | None) -> bool:
    """Say whether a status tells of something behind the last command that the oracle decided."""
    return section is None or bool(
        fields["version"] > section.version or fields["timestamp"] > section.applied[1]
    )


@dataclass(slots=True)
class Published:
    """What was published of the sections of a partition so far.

    last:  counts by section, of its last status.
    at:    where in the section's history they were found.
    ahead: sections with a status that is newer than the state that was read.
    """

    notes: Notes
    last: dict[Where, Counts] = field(default_factory=dict)
    at: dict[Where, int] = field(default_factory=dict)
    ahead: set[Where] = field(default_factory=set)

    def compare(
        self, record: LogRecord, fields: dict[str, Any], where: Where, section: Section | None
    ) -> None:
        """Find a status in the history of its section, not before the last one."""
        if record.key != f"{where[0]}-{where[1]}".encode():
            self._mismatch("I18", "wrong key", record.offset, f"{record.key!r}", where)
        if section is None:
            self._mismatch("I18", "phantom status", record.offset, f"{where}", where)
            return
        counts = (
            fields["timestamp"],
            fields["version"],
            fields["availableCount"],
            fields["heldCount"],
            fields["largestBlock"],
        )
        try:
            self.at[where] = section.history.index(counts, self.at.get(where, 0))
        except ValueError:
            previous = self.last.get(where)
            is_older = previous is not None and counts[1] < previous[1]
            self._mismatch(
                "I16" if is_older else "I18",
                "non-monotonic read" if is_older else "wrong status",
                record.offset,
                f"{where[1]}: (time, version, free, held, largest block) {counts}"
                " was never so at that point",
                where,
            )
        self.last[where] = counts

    def end_as(self, sections: dict[Where, Section]) -> None:
        """Compare the last status of every section with the section as it is."""
        for where, section in sections.items():
            now = section.history[-1]
            if self.last.get(where) == now or where in self.ahead:
                continue
            self._mismatch(
                "I18",
                "status is not the state" if where in self.last else "missing status",
                section.applied[0],
                f"{where[1]}: last status {self.last.get(where)}, state {now}",
                where,
            )

    def _mismatch(
        self, invariant: str, anomaly: str, offset: int, message: str, where: Where
    ) -> None:
        """Note a status that is not the state."""
        self.notes.report.status_mismatches += 1
        self.notes.bad(invariant, anomaly, offset, message, section=where[1])
