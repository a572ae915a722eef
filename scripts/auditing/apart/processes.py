"""A cluster in, a verdict out: partitions are judged by as many processes as there are cores.

A process has the records of one large partition at a time, or of a few small ones, and forgets
them before the next: what an audit needs of memory grows with its largest partitions, and not with
the log. What is kept of each is what lies in several: carts, payments that were done, and what was
found.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException

from schemas.topics import PURCHASES_CHANGELOG, SECTION_COMMANDS
from scripts.auditing.apart.reading import (
    Ends,
    Wanted,
    note_moves,
    read_parts,
    read_rest,
    read_since,
    undecided_since,
)
from scripts.auditing.card_data.judging import judge_cards
from scripts.auditing.checks import Part, joined, judge
from scripts.auditing.locks.reading import SeenLock
from scripts.auditing.log import (
    Log,
    entries_of,
    ids_in,
    look_again_at_bookings,
    look_at_bookings,
    look_at_lines,
    look_at_locks,
    look_at_queues,
    nothing_is_garbage,
    wire_for,
    with_sections,
)
from scripts.auditing.report import Report, Violation, excerpt
from scripts.auditing.schemas import WireFormat, own_schemas
from scripts.auditing.topics import (
    Bounds,
    CannotRead,
    Records,
    bounds_of,
    partition_count,
    read_topic,
    reading,
)
from scripts.brokers.addresses import Servers
from scripts.brokers.group_offsets import OffsetsUnknown, committed_offsets
from scripts.program.progress import progress
from streams.settings import Settings

PROCESSES_MAX = 8
COMMANDS_AT_ONCE = 50_000
"""Partitions are read together up to so many commands: each beginning takes a moment."""


@dataclass(frozen=True, slots=True)
class Common:
    """What every process is given once. locks, booked: as in `Log`."""

    where: Servers
    wanted: Wanted
    allow_repeats: bool
    locks: tuple[SeenLock, ...] | None
    booked: frozenset[str] = frozenset()


class Told(NamedTuple):
    """What a process tells of a partition; excerpts: around the first violation of each kind."""

    part: Part
    ends: Ends
    excerpts: dict[Violation, list[str]]


class Judge:
    """Reads partitions by one consumer, which knows the topics then, and judges each."""

    def __init__(self, common: Common, consumer: Consumer) -> None:
        self._common = common
        self._consumer = consumer
        # Partitions have the same schemas, nearly always.
        self._wire = cache(lambda ids: wire_for(common.where, ids))

    def __call__(self, here: Sequence[int], statuses: Records | None) -> list[Told]:
        """Judge some partitions; raises CannotRead.

        statuses: of their sections, where they lie elsewhere.
        """
        common = self._common
        try:
            with nothing_is_garbage():
                log, ends = read_parts(self._consumer, common.wanted, here, statuses)
        except KafkaException as error:
            raise CannotRead(f"{common.where.brokers}: {error.args[0].str()}") from error
        log.wire = self._wire(ids_in(log))
        log.locks, log.booked = common.locks, common.booked
        return told_of(log, ends, allow_repeats=common.allow_repeats)


def told_of(log: Log, ends: Mapping[int, Ends], *, allow_repeats: bool) -> list[Told]:
    """Judge the partitions whose records are in a log, which are those of the ends."""
    with nothing_is_garbage():
        parts = {number: judge(log, number, allow_repeats=allow_repeats) for number in ends}
        judge_cards(log, next(iter(parts.values())).report)
        told = []
        for number, part in parts.items():
            first = part.report.first_by_invariant().values()
            excerpts = {one: list(excerpt(log, one)) for one in first}
            told.append(Told(part, ends[number], excerpts))
        return told


def audit_apart(
    where: Servers,
    group: str = "",
    ledger: Path | None = None,
    redis_url: str = "",
    *,
    allow_repeats: bool = False,
    processes: int = 0,
) -> Report:
    """Read and judge a log by its partitions; raises CannotRead. Arguments as of `read_log`.

    processes: how many at once; 0 for one a core.
    """
    log = Log(WireFormat(own_schemas(), {}), 0)
    # First: of a hold that ends meanwhile the log knows more than the lock.
    look_at_locks(log, redis_url)
    look_at_queues(log, redis_url)
    if ledger is not None:
        entries_of(ledger)
    try:
        log.committed = committed_offsets(where, group or Settings().app_id)
    except OffsetsUnknown as error:
        raise CannotRead(str(error)) from error
    with reading(where) as consumer:
        with nothing_is_garbage():
            look_at_bookings(consumer, log, lambda ids: wire_for(where, ids))
        log.partitions = partition_count(consumer, SECTION_COMMANDS)
        paid = bounds_of(consumer, PURCHASES_CHANGELOG).values()
        is_paid = any(high > low for low, high in paid)
        wanted = Wanted(log.partitions, log.committed, is_paid, where.status, ledger)
        common = Common(where, wanted, allow_repeats, log.locks, log.booked)
        elsewhere = statuses_elsewhere(consumer, wanted)
        told = all_judged(common, consumer, elsewhere, processes or len(os.sched_getaffinity(0)))
        parts = {number: one.part for number, one in told.items()}
        ends = {number: one.ends for number, one in told.items()}
        read_rest(consumer, log)
        look_at_lines(consumer, log, redis_url)
        look_again_at_bookings(consumer, log)
        since = read_since(consumer, ends)
        note_moves(consumer, parts, ends)
        log.wire = wire_for(where, ids_in(replace(log, commands=dict(enumerate(since.values())))))
        report = Report(pending=undecided_since(log.wire, since))
        judge_cards(log, report)

        def excerpt_of(violation: Violation) -> list[str]:
            known = told.get(violation.partition)
            if known is not None and violation in known.excerpts:
                return known.excerpts[violation]
            if known is None:
                return []
            # Found when all were compared, so its records have gone.
            again, _ = read_parts(consumer, wanted, [violation.partition], None)
            again.wire = wire_for(where, ids_in(again))
            return list(excerpt(again, violation))

        return joined(log, report, [parts[number] for number in sorted(parts)], excerpt_of)


def statuses_elsewhere(consumer: Consumer, wanted: Wanted) -> Records | None:
    """Return statuses by the partition of their section; None where they lie there already."""
    if partition_count(consumer, wanted.statuses) == wanted.partitions:
        return None
    return with_sections(read_topic(consumer, wanted.statuses), wanted.partitions)


def all_judged(
    common: Common, consumer: Consumer, statuses: Records | None, processes: int
) -> dict[int, Told]:
    """Return what every partition's judge tells; raises CannotRead.

    statuses: of all sections by their partition, where they lie elsewhere.
    """
    count = common.wanted.partitions
    processes = max(1, min(processes, PROCESSES_MAX))
    asked = [
        (here, statuses and {part: statuses[part] for part in here})
        for here in together(bounds_of(consumer, SECTION_COMMANDS), processes)
    ]
    found: dict[int, Told] = {}
    with progress("partitions judged") as told:
        for several in _judged(common, consumer, asked, min(processes, len(asked))):
            found |= {one.part.kept.partition: one for one in several}
            told(len(found), count)
    return found


def together(commands: Bounds, processes: int) -> list[list[int]]:
    """Return the partitions in groups, none of which has too many commands and another one.

    Nor has any more than its share of the commands and another one, so that no process waits for
    another that has nearly all; the largest partitions first, so that none of them is begun last.
    """
    sizes = {part: end - first for part, (first, end) in commands.items()}
    most = min(COMMANDS_AT_ONCE, -(-sum(sizes.values()) // processes))
    groups: list[list[int]] = []
    rooms: list[int] = []
    for part in sorted(sizes, key=lambda one: -sizes[one]):
        at = next((at for at, room in enumerate(rooms) if sizes[part] <= room), len(groups))
        if at == len(groups):
            groups.append([])
            rooms.append(most)
        groups[at].append(part)
        rooms[at] -= sizes[part]
    return groups


def _judged(
    common: Common,
    consumer: Consumer,
    asked: list[tuple[list[int], Records | None]],
    processes: int,
) -> Iterator[list[Told]]:
    if processes <= 1:
        judge_here = Judge(common, consumer)
        yield from (judge_here(*each) for each in asked)
        return
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(common,)
    )
    with pool:
        waiting = [pool.submit(_judge, *each) for each in asked]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BrokenProcessPool as error:
            raise CannotRead(
                "a process of the audit was ended: is there enough memory? --processes 1 needs"
                " that of one partition"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_OWN: list[Judge] = []
"""The judge of a process of its own; empty elsewhere."""

_OPENED = ExitStack()
"""What that judge has open, for as long as its process is there."""


def _begin(common: Common) -> None:
    # A terminal's Ctrl-C is for whoever began the audit: it ends this process without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _OWN.append(Judge(common, _OPENED.enter_context(reading(common.where))))


def _judge(here: list[int], statuses: Records | None) -> list[Told]:
    return _OWN[0](here, statuses)
