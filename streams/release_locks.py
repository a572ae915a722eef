"""Ends of holds in; their locks are removed from Redis, by exact key and owner; that is told, out.

The log has decided before this role reads of it, so a lock that stays keeps seats from buyers for
as long as it lasts, and no longer. A record that comes twice, late, or after a newer hold does not
touch other locks: the owner of a lock is one hold of one reservation.

A Redis that does not answer is asked again after pauses that double, for a quarter of an hour. By
then the lock has expired, or the look through all locks finds it.

Keys of the store: `p`: progress; open intents beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from schemas.topics import SEAT_UNLOCKED
from serdes.decoding import Undecodable
from state.domain.keys import PROGRESS_KEY, RESERVATION_ID, split_section_key
from state.domain.reasons import Reason
from state.records.lock_codecs import LOCKS, LockCodecs, LocksReleased
from state.records.names import SeatUnlock
from streams.batch import Batch, Effects, Handler, Record, State
from streams.folding.batches import fold_batch, pass_over, progress_of
from streams.folding.fold import Fold
from streams.folding.reading import read
from streams.intents import (
    DETAIL_MAX,
    Answer,
    Intent,
    NotDone,
    Performer,
    Result,
    intent_of,
    is_current,
    open_intent,
    settle_intent,
)
from streams.placing import misplaced
from streams.route import RoleTopics, Route

_UNLOCK: Final = LOCKS + "SeatUnlock"
_RELEASED: Final = LOCKS + "LocksReleased"

ROLE: Final = "locks"
REDIS: Final = "redis"
CALL_MS: Final = 5_000
SEATS_MAX: Final = 100
"""Seats of one hold, which are unlocked at once; sections allow far fewer."""

PATIENCE_MS: Final = 900_000
_PAUSE_MS: Final = (1_000, 60_000)
"""Pause before the second try, and the longest one; each is twice as long as the one before."""


class Asked(NamedTuple):
    """The locks to remove: the content of an intent.

    seats: (row, seat), indexes from 0. outcome_id: of what ended the hold.
    """

    event_id: int
    section: str
    reservation_id: str
    epoch: int
    outcome_id: str
    seats: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, content: bytes) -> Asked:
        *others, seats = json.loads(content)
        event_id, section, reservation_id, epoch, outcome_id = others
        pairs = tuple((row, seat) for row, seat in seats)
        return cls(event_id, section, reservation_id, epoch, outcome_id, pairs)

    def content(self) -> bytes:
        return json.dumps(self).encode()

    @property
    def key(self) -> bytes:
        return b"%d-%s" % (self.event_id, self.section.encode())


class Unlocking(Protocol):
    """Removes the locks that a hold has, and returns how many there were."""

    async def unlock(
        self,
        event_id: int,
        section: str,
        seats: Sequence[tuple[int, int]],
        reservation_id: str,
        epoch: int,
    ) -> int: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker has for this role.

    unlocker: None where no intents are performed. unlocked: topic that tells of removed locks.
    """

    codecs: LockCodecs
    unlocker: Unlocking | None = None
    unlocked: str = SEAT_UNLOCKED.name


class UnlockFold(Fold):
    """One batch of seat-unlock. Nothing here waits for the log's time: there are no ticks."""

    tick_name = LOCKS + "Tick"
    progress_key = PROGRESS_KEY
    first_logic_version = 1
    last_logic_version = 1

    __slots__ = ("setup",)

    def __init__(self, setup: Setup, batch: Batch, state: State, log_time_ms: int) -> None:
        super().__init__(setup.codecs.records, batch, state, log_time_ms)
        self.setup = setup


def route(topics: RoleTopics, setup: Setup) -> Route:
    """Return the route that removes the locks of holds that are over."""
    return Route(
        *topics.through(release_locks(setup)),
        progress=progress,
        refuse=refuse_poison(setup),
        owns=owns,
        performers={REDIS: performer(setup.unlocker)},
        answer=told_answers(setup.codecs),
        close=None if setup.unlocker is None else setup.unlocker.close,
    )


def release_locks(setup: Setup) -> Handler:
    """Return the handler."""

    def handle(batch: Batch, state: State, log_time_ms: int) -> Effects:
        fold = UnlockFold(setup, batch, state, log_time_ms)
        return fold_batch(
            fold, setup.unlocked, tell_again=_again, decide=_decide, settle=lambda _: None
        )

    return handle


progress = progress_of(UnlockFold)
"""Tells how far a partition's state has come."""


def owns(store_key: bytes, _partition: int, _partitions: int) -> bool:
    """Say whether a partition's store may have a key, beside open intents."""
    return store_key == PROGRESS_KEY


def performer(unlocker: Unlocking | None) -> Performer:
    """Return what performs intents for `REDIS`."""

    async def perform(intent: Intent) -> bytes:
        if unlocker is None:
            raise NotDone("this worker has no Redis: see REDIS_URL")
        asked = Asked.of(intent.payload)
        return b"%d" % await unlocker.unlock(
            asked.event_id, asked.section, asked.seats, asked.reservation_id, asked.epoch
        )

    return perform


def told_answers(codecs: LockCodecs) -> Callable[[Intent, Answer], tuple[bytes | None, bytes]]:
    """Return what makes the record of an answer: the route's `answer`."""

    def tell(intent: Intent, answer: Answer) -> tuple[bytes | None, bytes]:
        is_done = answer.result is Result.ANSWERED
        return Asked.of(intent.payload).key, codecs.released(
            intent.id.encode(),
            intent.attempt,
            is_done,
            int(answer.payload) if is_done else 0,
            answer.wait_ms,
            answer.detail[:DETAIL_MAX].encode(errors="replace"),
        )

    return tell


def refuse_poison(setup: Setup) -> Callable[[Batch, State, Record, int], Effects]:
    """Return what passes over a record that no handler survived; its locks expire."""

    def refuse(batch: Batch, state: State, record: Record, log_time_ms: int) -> Effects:
        fold = UnlockFold(setup, batch, state, log_time_ms)
        told = pass_over(fold, record)
        if told is not None and told.name == _RELEASED:
            settle_intent(state, LocksReleased._make(told.fields).intent_id.decode())
        return fold.effects

    return refuse


def _again(fold: UnlockFold, records: Sequence[Record]) -> None:
    """Tell nothing again: a consumer that misses a record of this topic misses no lock."""
    read(fold, records)
    fold.effects.decisions["REPEATED"] = len(records)


def _decide(fold: UnlockFold, records: Sequence[Record]) -> None:
    names, decoded = read(fold, records)
    for record, name, fields in zip(records, names, decoded, strict=True):
        fold.follow(record, name, fields)
        if name == _UNLOCK:
            _unlock(fold, record, SeatUnlock._make(fields))
        elif name == _RELEASED:
            _released(fold, LocksReleased._make(fields))


def _unlock(fold: UnlockFold, record: Record, told: SeatUnlock) -> None:
    """Have the locks of a hold removed."""
    key = b"%d-%s" % (told.event_id, told.section)
    if wrong := misplaced(fold.batch, record, key) or _wrong(told, key):
        fold.bury(record, wrong.reason, wrong.detail)
        return
    seats = tuple((row, first + at) for row, first, count in told.seats for at in range(count))
    asked = Asked(
        told.event_id,
        told.section.decode(),
        told.reservation_id.decode(),
        told.epoch,
        told.outcome_id.decode(),
        seats,
    )
    place = f"{fold.batch.partition}:{fold.offset}"
    open_intent(
        fold.state,
        Intent(
            id=f"unlock:{place}",
            destination=REDIS,
            idempotency_key=f"unlock:{place}",
            payload=asked.content(),
            due_ms=fold.log_time_ms,
            opened_ms=fold.log_time_ms,
            call_ms=CALL_MS,
        ),
    )
    fold.count("UNLOCK")


def _wrong(told: SeatUnlock, key: bytes) -> Undecodable | None:
    """Return why a record must not remove locks; None for a good one. key: of its section."""
    if split_section_key(key) is None:
        return Undecodable(Reason.KEY_MISMATCH.name, f"no section's key: {key!r:.100}")
    if told.epoch < 1 or RESERVATION_ID.fullmatch(told.reservation_id) is None:
        return Undecodable("BAD_OWNER", f"epoch {told.epoch} of {told.reservation_id!r:.100}")
    counts = [count for _, _, count in told.seats]
    if not 1 <= sum(counts) <= SEATS_MAX or any(min(one) < 0 for one in told.seats):
        return Undecodable(Reason.BAD_COUNT.name, f"{len(counts)} ranges of {sum(counts)} seats")
    return None


def _released(fold: UnlockFold, told: LocksReleased) -> None:
    """Follow the answer to an attempt: settle its intent, or have it performed again."""
    state, intent_id = fold.state, told.intent_id.decode()
    intent = intent_of(state, intent_id) if is_current(state, intent_id, told.attempt) else None
    if intent is None:
        fold.count("STALE")
        return
    asked = Asked.of(intent.payload)
    if told.is_done:
        settle_intent(state, intent_id)
        fold.emit(
            asked.key,
            fold.setup.codecs.unlocked(
                asked.reservation_id.encode(),
                asked.event_id,
                asked.section.encode(),
                asked.epoch,
                asked.outcome_id.encode(),
                told.released,
            ),
            "UNLOCKED",
        )
    elif fold.log_time_ms - intent.opened_ms >= PATIENCE_MS:
        settle_intent(state, intent_id)
        fold.count("GIVEN_UP")
    else:
        shortest_ms, longest_ms = _PAUSE_MS
        pause_ms = min(longest_ms, shortest_ms << min(intent.attempt - 1, 10))
        # Not before the pause that the executor asks for is over.
        due_ms = fold.log_time_ms + max(pause_ms, min(told.wait_ms, longest_ms))
        open_intent(state, intent.again(due_ms))
        fold.count("AGAIN")
