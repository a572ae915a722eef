"""A log in, a verdict out: what the oracle expects compared with what lies in the topics.

Two ways to the truth: the oracle folds the commands and every outcome, state and status must be
what it says, byte for byte; and the outcomes are followed on their own, so that a seat sold twice
is seen even if oracle and handlers shared a mistake.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from scripts.auditing.booked.judging import (
    Booked,
    booked_in,
    judge_bookings,
    judge_queues,
)
from scripts.auditing.card_data.judging import judge_cards
from scripts.auditing.carts import Carts, read_carts
from scripts.auditing.facts import Facts, Kept, Traces, facts_of, kept_of
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
from scripts.auditing.locks.judging import Locks, add_owners, judge_locks, sorted_out
from scripts.auditing.log import Log
from scripts.auditing.report import Notes, Report, Violation, excerpt
from scripts.auditing.waiting.judging import judge_lines
from scripts.program.progress import progress as shown_progress

# In the order of their findings, which is that of the report where two have the same offset.
FAMILIES: tuple[Callable[[Facts, Notes], None], ...] = (
    changelog.check,  # I14: the state as it was written
    progress.check,  # I13, I14: how far state and group are
    seats.check,  # I1: counts add up
    outcomes.check,  # I4, I8, I19: each command has its outcomes
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
"""Those that need one partition; `carts` compares several, in `joined`."""


@dataclass(slots=True)
class Part:
    """What is left of one partition that was judged, once its records are gone.

    report: what was found in it; its figures are added to those of others.
    digest: of everything that was expected.
    claims: whose its captures are. carts: how parts of carts stand, and their payments.
    locks:  how those stand who own locks in its sections. booked: of reservations that items of
            the booking queue name.
    """

    report: Report
    digest: bytes
    kept: Kept
    claims: money.Claims
    carts: Carts
    locks: Locks
    booked: Booked


def audit(log: Log, *, allow_repeats: bool = False, traces: Traces | None = None) -> Report:
    """Judge a log that is at rest.

    allow_repeats: the group was rewound, so outcomes may come again, byte for byte.
    traces:        filled on the way.
    """
    parts = []
    with shown_progress("partitions judged") as told:
        for partition in range(log.partitions):
            parts.append(judge(log, partition, allow_repeats=allow_repeats, traces=traces))
            told(partition + 1, log.partitions)
    report = Report()
    judge_cards(log, report)  # I24: no card's number anywhere
    return joined(log, report, parts, lambda violation: list(excerpt(log, violation)))


def judge(
    log: Log, partition: int, *, allow_repeats: bool = False, traces: Traces | None = None
) -> Part:
    """Let every family judge one partition; its facts are gone before those of the next come."""
    report = Report()
    notes = Notes(partition, report)
    facts = facts_of(log, notes, allow_repeats=allow_repeats, traces=traces)
    digest = sha256()
    for expected in facts.sequence:
        digest.update(expected.body)
    for check in FAMILIES:
        check(facts, notes)
    claims: money.Claims = defaultdict(list)
    kept, booked = kept_of(facts), booked_in(facts, log.booked)
    part = Part(report, digest.digest(), kept, claims, Carts(), sorted_out(log), booked)
    money.add_claims(facts, part.claims)
    money.add_carts(facts, part.carts)
    carts.add_parts(facts, part.carts)
    add_owners(facts, part.locks)
    if traces is not None:
        traces.sections |= facts.oracle.sections
        traces.payments |= {
            reservation_id: payment
            for reservation_id, payment in facts.purchases.by_id.items()
            if reservation_id in traces.wanted
        }
    return part


def joined(
    log: Log,
    report: Report,
    parts: Sequence[Part],
    excerpt_of: Callable[[Violation], list[str]],
) -> Report:
    """Judge what several partitions say; return the report with what was found of each.

    log:        topics that are read at once: of carts, tickets and waiting rooms; locks; queues.
    report:     has what was found before.
    parts:      by partition.
    excerpt_of: the records around a violation.
    """
    of_carts, issued, locks = read_carts(log, report), read_issued(log, report), sorted_out(log)
    claims: money.Claims = defaultdict(list)
    booked: Booked = {}
    digest = sha256()
    for part in parts:
        report.take(part.report)
        digest.update(part.digest)
        partition = part.kept.partition
        carts.check(part.kept, of_carts.told.get(partition, []), Notes(partition, report))
        judge_payments(part.kept, issued, report)
        for of, listed in part.claims.items():
            claims[of] += listed
        of_carts.payments |= part.carts.payments
        for reservation_id, records in part.carts.truth.items():
            of_carts.truth[reservation_id] += records
        locks.truth |= part.locks.truth
        booked |= part.booked
    money.judge_claims(claims, report)
    carts.judge_carts(of_carts, report)
    judge_issued(issued, report)  # I26: tickets of what is paid for
    judge_lines(log, report)  # I22: waiting rooms
    judge_queues(log, booked, report)  # I22: the booking queue in Redis
    judge_bookings(log, booked, report)  # I22: the booking queue in Kafka
    judge_locks(log, locks, report)  # I21: locks of seats
    report.digest = digest.hexdigest()[:16]
    for name, violation in report.first_by_invariant().items():
        report.excerpts[name] = excerpt_of(violation)
    return report
