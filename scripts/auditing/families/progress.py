"""I13, I14: state and group are no further than the commands, and what is committed is done."""

from scripts.auditing.facts import Facts
from scripts.auditing.report import Notes
from scripts.auditing.topics import LogRecord


def check(facts: Facts, notes: Notes) -> None:
    """Compare how far state and group are with where the log of commands ends."""
    log, partition = facts.log, facts.partition
    records = log.commands.get(partition, [])
    end = log.ends.get(partition, records[-1].offset + 1 if records else 0)
    committed = log.committed.get(partition, 0)
    for whose, offset in (("the state", facts.stored.next_offset), ("the group", committed)):
        if offset > end:
            message = f"{whose} is at offset {offset}, and the commands end at {end}"
            notes.bad("I14", "other timeline", end, message)
    for record in facts.undecided:
        if is_nothing_to_decide(facts, record):
            continue
        if record.offset < committed:
            notes.report.lost += 1
            notes.bad("I13", "lost write", record.offset, "committed, and not applied")
        else:
            notes.report.pending += 1


def is_nothing_to_decide(facts: Facts, record: LogRecord) -> bool:
    """Say whether a record may stay undecided: a tick, or none at all, loses nothing."""
    return record.value is None or facts.log.wire.name_of(record.value) == "Tick"
