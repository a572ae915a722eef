"""I23: what nobody can read or survive is a dead letter, once and byte for byte."""

from collections import defaultdict

from schemas.topics import (
    CART_COMMANDS,
    DEAD_LETTER_QUEUE,
    PAYMENT_COMMANDS,
    PAYMENT_COMPLETED,
)
from scripts.auditing.facts import CAUSE, Facts, origin_of
from scripts.auditing.report import Notes
from scripts.auditing.topics import LogRecord

NOT_JUDGED = (CART_COMMANDS.name, PAYMENT_COMPLETED.name)
"""Topics whose records are not read here: what they lead to is."""

OF_OPERATORS = frozenset(("redrive-of", "operator-action"))
"""Headers by which it is known what an operator did: letters sent back, a group moved."""

Letters = dict[int, list[LogRecord]]


def check(facts: Facts, notes: Notes) -> None:
    """Compare the dead letters with the commands that must have one."""
    copies_by_origin, of_payments = read_letters(facts, notes)
    check_payments(facts, notes, of_payments)
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


def check_payments(facts: Facts, notes: Notes, copies_by_origin: Letters) -> None:
    """Compare the dead letters of payments: one of each record that nobody can read.

    Others have one at most: those that are on the wrong partition, or about another hold.
    """
    originals = {record.offset: record for record in facts.log.payments.get(facts.partition, [])}
    for offset in sorted(facts.purchases.unreadable | copies_by_origin.keys()):
        copies, original = copies_by_origin.get(offset, []), originals.get(offset)
        where = f"{PAYMENT_COMMANDS.name} at offset {offset}"
        if original is None:
            notes.bad("I23", "phantom dead letter", offset, f"{where}: there is no such record")
        elif len(copies) != 1:
            anomaly = "lost write" if not copies else "duplicate effect"
            notes.bad("I23", anomaly, offset, f"{where}: {len(copies)} dead letters, not one")
        elif (copies[0].key, copies[0].value) != (original.key, original.value):
            message = f"{where}: key or value is not the original's"
            notes.bad("I23", "torn dead letter", offset, message)


def is_of_operator(record: LogRecord) -> bool:
    """Say whether a record is no dead letter, but says what an operator did."""
    names = {name for name, _ in record.headers}
    return bool(names & OF_OPERATORS) and CAUSE not in names


def read_letters(facts: Facts, notes: Notes) -> tuple[Letters, Letters]:
    """Return the dead letters of seats and of payments by the offset of the command.

    The foreign and those ahead are counted.
    """
    found: Letters = defaultdict(list)
    of_payments: Letters = defaultdict(list)
    for record in facts.log.dead_letters.get(facts.partition, []):
        if is_of_operator(record):
            continue
        origin = origin_of(record, facts.partition)
        of_payment = origin_of(record, facts.partition, PAYMENT_COMMANDS.name)
        if of_payment >= 0:
            notes.report.dead_letters += 1
            of_payments[of_payment].append(record)
        elif any(origin_of(record, facts.partition, name) >= 0 for name in NOT_JUDGED):
            notes.report.dead_letters += 1
        elif origin < 0:
            why = "its headers do not name a command of this partition"
            notes.foreign(DEAD_LETTER_QUEUE.name, record.offset, why)
        elif facts.is_ahead(origin):
            notes.report.ahead += 1
        else:
            notes.report.dead_letters += 1
            found[origin].append(record)
    return found, of_payments
