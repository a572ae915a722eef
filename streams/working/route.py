"""A piece of work as a route: events of one topic in, at most one effect for each, out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from serdes.decoding import Undecodable
from streams.batch import Batch, Effects, Handler, Record, State
from streams.folding.batches import fold_batch, progress_of
from streams.folding.progress import read_progress
from streams.intents import Performer
from streams.route import Route
from streams.working.answers import ANSWER_KEY, TICK, TICK_KEY, Said, clock_of, said_in, tell
from streams.working.events import known
from streams.working.fold import WorkFold
from streams.working.inbox import Event
from streams.working.kept import LINE, WAITING, Kept, offsets_of
from streams.working.task import FIRST_OF_OURS
from streams.working.work import Work

PROGRESS: Final = WorkFold.progress_key
KEYS_OF_OURS: Final = bytes([FIRST_OF_OURS])
"""Begins the store keys of lines, marks and progress."""

NOBODY: Final[Mapping[str, Performer]] = MappingProxyType({})

Stored = Mapping[bytes, Callable[[bytes], object]]
NOTHING: Final[Stored] = MappingProxyType({})

Told = int | Said | Event | Undecodable | None
"""What a record says: a tick's clock, an answer, an event; None for nothing to work on."""


def work_route(
    work: Work,
    *,
    to: tuple[str, ...] = (),
    changelog: str,
    dead_letters: str,
    performers: Mapping[str, Performer] = NOBODY,
    close: Callable[[], Awaitable[None]] | None = None,
    owns: Callable[[bytes, int, int], bool] | None = None,
    stored: Stored = NOTHING,
    turn: Callable[[int], Awaitable[bool | None]] | None = None,
) -> Route:
    """Return the route of a piece of work.

    The source has to carry the broker's append time.

    close: what performers hold open. owns: whether the partition's store may have a key of the
           worker's own, as `Route.owns`; None where keys do not tell. stored: what reads the
           payloads under those keys, by first byte, and raises for what it cannot read. turn: as
           `Route.turn`.
    """
    owning = None if owns is None else _owning(owns)
    return Route(
        role=work.role,
        source=work.source,
        handler=handler(work),
        to=to,
        changelog=changelog,
        dead_letters=dead_letters,
        progress=progress_of(WorkFold),
        tick=TICK,
        isolate=isolate(work),
        refuse=refuse_poison(work),
        performers=performers,
        answer=partial(tell, work.role, work.seal),
        close=close,
        turn=turn,
        owns=owning,
        contradiction=contradiction(owning, stored),
    )


def _owning(owns: Callable[[bytes, int, int], bool]) -> Callable[[bytes, int, int], bool]:
    return lambda key, *place: key[:1] == KEYS_OF_OURS or owns(key, *place)


def contradiction(
    owns: Callable[[bytes, int, int], bool] | None, stored: Stored
) -> Callable[[Iterable[tuple[bytes, bytes]], int, int], str]:
    """Return what finds the first thing in a partition's whole state that cannot be."""
    ours: Stored = {WAITING: Kept.of_stored, LINE: offsets_of, PROGRESS: read_progress}

    def find(items: Iterable[tuple[bytes, bytes]], partition: int, partitions: int) -> str:
        key = b""
        try:
            for key, payload in items:
                if owns is not None and not owns(key, partition, partitions):
                    return f"{key!r} has no place in partition {partition}"
                read = ours.get(key[:2]) or stored.get(key[:1])
                if read is not None:
                    read(payload)
        except Exception as error:  # noqa: BLE001  (whatever it is, it cannot be read)
            return f"{key!r} cannot be read: {error!r}"
        return ""

    return find


def handler(work: Work) -> Handler:
    """Return the handler of a piece of work."""

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        return fold_batch(
            WorkFold(work, batch, state, log_time_ms),
            "",
            tell_again=_again,
            decide=_decide,
            settle=lambda _: None,
        )

    return handle


def isolate(work: Work) -> Callable[[Batch, State, Record, int], bool]:
    """Return what has each attempt made alone once a record has killed that others were due at."""

    def isolate(batch: Batch, state: State, record: Record, log_time_ms: int) -> bool:
        fold = WorkFold(work, batch, state, log_time_ms)
        _follow(fold, record, _read_ours(fold, record))
        return fold.isolate(record)

    return isolate


def refuse_poison(work: Work) -> Callable[[Batch, State, Record, int], Effects]:
    """Return what becomes of a record that no handler survived, with nothing else done at it.

    An answer counts as a failed attempt at its event, a tick as one at what was due first at it:
    that tick was not to blame.
    """

    def refuse(batch: Batch, state: State, record: Record, log_time_ms: int) -> Effects:
        fold = WorkFold(work, batch, state, log_time_ms)
        told = _read_ours(fold, record)
        _follow(fold, record, told)
        if isinstance(told, Said):
            fold.refuse_answer(told)
        elif type(told) is int:
            fold.effects.is_innocent = fold.refuse_due()
        fold.keep_progress(record.offset + 1)
        return fold.effects

    return refuse


def _follow(fold: WorkFold, record: Record, told: Told) -> None:
    fold.follow(record, fold.tick_name if type(told) is int else "", (told,))


def _decide(fold: WorkFold, records: Sequence[Record]) -> None:
    # All are read before anything is decided.
    fold.read_waiting()
    told = [_read(fold, record) for record in records]
    for record, said in zip(records, told, strict=True):
        _follow(fold, record, said)
        fold.do_due(is_tick=type(said) is int)
        match said:
            case Event():
                fold.take(record, said)
            case Said():
                fold.take_answer(said)
            case Undecodable(reason, detail):
                fold.bury(record, reason, detail)
            case None:
                fold.count("IGNORED")


def _read(fold: WorkFold, record: Record) -> Told:
    key = record.key or b""
    if key == TICK_KEY or key.startswith(ANSWER_KEY):
        return _read_ours(fold, record)
    return known(fold.work.identify, fold.batch, record)


def _read_ours(fold: WorkFold, record: Record) -> int | Said | Undecodable | None:
    """Return what a record that workers send themselves says; None for any other."""
    if record.key == TICK_KEY:
        return clock_of(record)
    # Another role's answer concerns us as little as an event that we do not read.
    is_answer = record.key == ANSWER_KEY + fold.work.role.encode()
    return said_in(record, fold.work.seal) if is_answer else None


def _again(fold: WorkFold, records: Sequence[Record]) -> None:
    """Tell nothing: what rewound records led to is done, or waits."""
    for _ in records:
        fold.count("REWOUND")
