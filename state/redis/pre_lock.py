"""Locks the seats that a buyer has chosen before the command is appended: others are told at once.

Locks spare work and decide nothing. Where Redis does not answer in time, the log alone decides,
and the request is counted as skipped. A lock lasts a few seconds until the log has held the seats,
and then as long as the hold; so no lock keeps a buyer from free seats for longer than that.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis.exceptions import ResponseError

from state.redis.keys import LockKeys, Seat, seat_locks, seat_of
from state.redis.line import NoAnswer, RedisLine, TooManyAsk
from state.redis.seat_lock import (
    GRACE_MS,
    Busy,
    Granted,
    NotAll,
    SeatLock,
    acquire_all,
    owner_of,
    release_all,
)

FIRST_EPOCH = 1
"""Epoch of a new hold."""

_SKIPPED = (NoAnswer, TooManyAsk, ResponseError)


@dataclass(frozen=True, slots=True)
class HoldOfSeats:
    """The chosen seats of one hold, which the buyer wants or has."""

    section: str
    seats: Sequence[Seat]
    reservation_id: str
    epoch: int = FIRST_EPOCH

    @property
    def owner(self) -> str:
        return owner_of(self.reservation_id, self.epoch)

    def keys(self, event_id: int) -> LockKeys:
        return seat_locks(event_id, self.section, self.seats)


@dataclass(frozen=True, slots=True)
class Taken:
    """A seat that another owner has locked."""

    section: str
    seat: Seat


@dataclass(slots=True)
class PreLockCounters:
    """Requests whose seats were locked, that found a seat locked, and that locked nothing."""

    locked: int = 0
    refused: int = 0
    skipped: int = 0


class PreLocks:
    """Locks of chosen seats at one Redis; connects to nothing before the first one.

    url:    empty for no Redis: then every request is skipped.
    ttl_ms: how long a lock lasts before its seats are held; 0 for no locks at all.
    clock_s: a monotonic clock, for the ends of grants and the pauses after Redis has failed.
    now_ms: the wall clock in Unix ms, which deadlines of holds are compared with.
    """

    def __init__(
        self,
        url: str,
        ttl_ms: int,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
    ) -> None:
        self._line = (
            RedisLine(
                url, "without it no seats are locked before the log holds them", clock_s=clock_s
            )
            if url and ttl_ms
            else None
        )
        self._locks = None if self._line is None else SeatLock(self._line.ask, clock_s=clock_s)
        self._ttl_ms = ttl_ms
        self._now_ms = now_ms
        self.counters = PreLockCounters()

    async def close(self) -> None:
        if self._line is not None:
            await self._line.close()

    async def take(
        self, event_id: int, holds: Sequence[HoldOfSeats]
    ) -> tuple[Granted, ...] | Taken | None:
        """Lock the seats of all holds, or of none; None where nothing could be locked.

        Seats that the same hold has locked already are locked anew.
        """
        if not self._ttl_ms or not holds:
            return None
        groups = [(hold.keys(event_id), hold.owner) for hold in holds]
        acquired = None
        if self._locks is not None:
            try:
                acquired = await acquire_all(self._locks, groups, self._ttl_ms)
            except _SKIPPED:
                acquired = None
        if isinstance(acquired, tuple):
            self.counters.locked += 1
            return acquired
        if isinstance(acquired, NotAll) and isinstance(acquired.why, Busy):
            self.counters.refused += 1
            section = next(hold.section for hold in holds if hold.keys(event_id) == acquired.keys)
            return Taken(section, seat_of(acquired.why.names[0]))
        self.counters.skipped += 1
        return None

    async def keep(self, grant: Granted, deadline_ms: int) -> None:
        """Extend the locks of seats that the log has held; a lock that has ended stays so.

        deadline_ms: of the hold, Unix ms.
        """
        assert self._locks is not None
        ttl_ms = self._ttl_of(deadline_ms)
        if ttl_ms > 0:
            try:
                await self._locks.extend(grant, ttl_ms)
            except _SKIPPED:
                self.counters.skipped += 1

    async def prolong(self, event_id: int, hold: HoldOfSeats, deadline_ms: int) -> None:
        """Extend the locks of a hold that the log has extended, whichever pod has taken them.

        Seats without a lock get none.
        """
        ttl_ms = self._ttl_of(deadline_ms)
        if self._locks is None or not hold.seats or ttl_ms <= 0:
            return
        try:
            await self._locks.extend_of(hold.keys(event_id), hold.owner, ttl_ms)
        except _SKIPPED:
            self.counters.skipped += 1

    async def give_back(self, grants: Sequence[Granted]) -> None:
        """Unlock seats that the log has not held. A lock that Redis does not release expires."""
        assert self._locks is not None
        try:
            await release_all(self._locks, grants)
        except _SKIPPED:
            self.counters.skipped += 1

    def _ttl_of(self, deadline_ms: int) -> int:
        return int(deadline_ms + GRACE_MS - self._now_ms())
