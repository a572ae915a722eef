"""A log in, a verdict out: what the oracle expects compared with what lies in the topics.

Two ways to the truth: the oracle folds the commands and every outcome, state and status must be
what it says, byte for byte; and the outcomes are followed on their own, so that a seat sold twice
is seen even if oracle and handlers shared a mistake.
"""

from collections import defaultdict
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from scripts.auditing.card_data.judging import judge_cards
from scripts.auditing.carts import Carts, read_carts
from scripts.auditing.facts import Facts, Traces, facts_of
from scripts.auditing.families import (
    carts,
    changelog,
    dead_letters,
    holders,
    layouts,
    money,
    outcomes,
    payments,
    progress,
    reservations,
    seats,
    states,
    statuses,
    versions,
)
from scripts.auditing.issued.judging import judge_issued, judge_payments
from scripts.auditing.issued.reading import read_issued
from scripts.auditing.locks.judging import add_owners, judge_locks, sorted_out
from scripts.auditing.log import Log
from scripts.auditing.report import Notes, Report, excerpt
from scripts.auditing.waiting.judging import judge_lines
from scripts.program.progress import progress as shown_progress

# In the order of their findings, which is that of the report where two have the same offset.
FAMILIES: tuple[Callable[[Facts, Notes], None], ...] = (
    changelog.check,  # I14: the state as it was written
    progress.check,  # I13, I14: how far state and group are
    seats.check,  # I1: counts add up
    outcomes.check,  # I4, I8, I19: each command has its outcomes
    carts.check,  # I8, I25: carts are told what they must be
    payments.check,  # I8: payments are told what they must be
    holders.check,  # I3, I4: who has each seat
    reservations.check,  # I7, I9: what becomes of each reservation
    versions.check,  # I5: no version left out
    money.check,  # I6, I10, I11, I12, I24: what became of money
    layouts.check,  # I2: no seat that is none
    states.check,  # I13, I14: the state as it is
    statuses.check,  # I16, I18: what was published of sections
    dead_letters.check,  # I23: what could not be read or survived
)


def audit(log: Log, *, allow_repeats: bool = False, traces: Traces | None = None) -> Report:
    """Judge a log that is at rest.

    allow_repeats: the group was rewound, so outcomes may come again, byte for byte.
    traces:        filled on the way.
    """
    report = Report()
    digest = sha256()
    claims: money.Claims = defaultdict(list)
    of_carts, issued = read_carts(log, report), read_issued(log, report)
    locks = sorted_out(log)
    with shown_progress("partitions judged") as told:
        for partition in range(log.partitions):
            notes = Notes(partition, report)
            facts = judge(
                log, notes, digest, claims, of_carts, allow_repeats=allow_repeats, traces=traces
            )
            judge_payments(facts, issued, report)
            add_owners(facts, locks)
            told(partition + 1, log.partitions)
    money.judge_claims(claims, report)
    carts.judge_carts(of_carts, report)
    judge_issued(issued, report)  # I26: tickets of what is paid for
    judge_cards(log, report)  # I24: no card's number anywhere
    judge_lines(log, report)  # I22: waiting rooms
    judge_locks(log, locks, report)  # I21: locks of seats
    report.digest = digest.hexdigest()[:16]
    for name, violation in report.first_by_invariant().items():
        report.excerpts[name] = list(excerpt(log, violation))
    return report


def judge(
    log: Log,
    notes: Notes,
    digest: Any,
    claims: money.Claims,
    of_carts: Carts,
    *,
    allow_repeats: bool,
    traces: Traces | None,
) -> Facts:
    """Let every family judge one partition, whose facts are gone before those of the next come.

    digest: a hash to add everything that was expected to. claims: to add whose captures are.
    of_carts: what lies in their topics, to add how their parts stand.
    """
    facts = facts_of(
        log,
        notes,
        allow_repeats=allow_repeats,
        traces=traces,
        told_carts=of_carts.told.get(notes.partition, []),
    )
    for expected in facts.sequence:
        digest.update(expected.body)
    for check in FAMILIES:
        check(facts, notes)
    money.add_claims(facts, claims)
    money.add_carts(facts, of_carts)
    carts.add_parts(facts, of_carts)
    if traces is not None:
        traces.sections |= facts.oracle.sections
        traces.payments |= {
            reservation_id: payment
            for reservation_id, payment in facts.purchases.by_id.items()
            if reservation_id in traces.wanted
        }
    return facts
