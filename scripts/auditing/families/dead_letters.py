"""I23: what nobody can read or survive is a dead letter, once and byte for byte."""

from collections import defaultdict

from schemas.topics import DEAD_LETTER_QUEUE
from scripts.auditing.facts import Facts, origin_of
from scripts.auditing.log import LogRecord
from scripts.auditing.report import Notes


def check(facts: Facts, notes: Notes) -> None:
    """Compare the dead letters with the commands that must have one."""
    copies_by_origin = read_letters(facts, notes)
    for offset, original in (facts.unreadable | facts.set_aside).items():
        copies = copies_by_origin.pop(offset, [])
        if len(copies) != 1:
            notes.bad(
                "I23",
                "lost write" if not copies else "duplicate effect",
                offset,
                f"{len(copies)} dead letters for a command that must have one",
            )
        elif (copies[0].key, copies[0].value) != (original.key, original.value):
            message = "key or value is not the original's"
            notes.bad("I23", "torn dead letter", offset, message)
    for offset, copies in copies_by_origin.items():
        message = f"{len(copies)} for a readable command"
        notes.bad("I23", "phantom dead letter", offset, message)


def read_letters(facts: Facts, notes: Notes) -> dict[int, list[LogRecord]]:
    """Return the dead letters by the offset of the command; count the foreign and those ahead."""
    found: dict[int, list[LogRecord]] = defaultdict(list)
    for record in facts.log.dead_letters.get(facts.partition, []):
        origin = origin_of(record, facts.partition)
        if origin < 0:
            why = "its headers do not name a command of this partition"
            notes.foreign(DEAD_LETTER_QUEUE.name, record.offset, why)
        elif facts.is_ahead(origin):
            notes.report.ahead += 1
        else:
            notes.report.dead_letters += 1
            found[origin].append(record)
    return found
