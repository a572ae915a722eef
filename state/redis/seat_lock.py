"""Locks in Redis. They spare work and decide nothing: the log decides who holds a seat.

Every invariant holds with locks deleted, duplicated or frozen at random, and the end of a lock
frees no seat. With locks, most buyers whose command would be refused are told so at once.

Each operation is one script, for one key or a hundred, all or nothing. A client may send it twice:
the second run has the effect of the first. Keys that are locked together have one hash tag, so
they lie on one node. Keys with other hash tags are locked in their order, so that no two owners
wait for each other.

Beside its owner's name a lock has a random token, by which an owner tells its present grant from
an earlier one, and a fence: a number that rises with each grant and outlives the lock. Whatever a
fence guards refuses a lower one, as `acquire` does, so an owner that slept beyond its time does no
harm. Fences are counted for a hash tag as a whole: one number outlives the locks of a section.
"""

import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from state.redis.keys import LockKeys
from state.redis.scripts import Ask, Script

GRACE_MS: Final = 30_000
"""How long the lock of a hold outlives its deadline: the log's time may be behind ours."""

LIFE_MS: Final = 31 * 86_400_000
"""The longest that a lock may last, however often it is extended; no hold lasts longer."""

FENCES_MS: Final = 86_400_000
"""How long a fence outlives the last lock, and so guards against an owner that slept."""

_TOKEN_BYTES: Final = 16
_OWNER: Final = re.compile(rb"([A-Za-z0-9_-]{1,64}):([1-9][0-9]{0,9})")

_ACQUIRE: Final = Script("acquire")
_RELEASE: Final = Script("release")
_EXTEND: Final = Script("extend")
_MEND: Final = Script("mend")


@dataclass(frozen=True, slots=True)
class Granted:
    """Locks that were granted to an owner.

    ends_s: by our monotonic clock; after that the owner must not rely on the grant.
    """

    keys: LockKeys
    owner: str
    token: str
    fence: int
    ends_s: float

    def left_ms(self, now_s: float) -> float:
        """Return how long the grant is still valid; 0 or less when it has ended."""
        return (self.ends_s - now_s) * 1000


@dataclass(frozen=True, slots=True)
class Busy:
    """Another owner has at least one of the keys.

    names:   of the keys that are taken. wait_ms: until they may be free; 0 where nobody knows.
    """

    names: tuple[str, ...]
    wait_ms: int


@dataclass(frozen=True, slots=True)
class Stale:
    """A later grant was granted already, so whoever asks acts on something that is over."""

    fence: int


Acquired = Granted | Busy | Stale


@dataclass(frozen=True, slots=True)
class NotAll:
    """One of several hash tags was refused, so nothing is locked.

    keys: those that were refused. why: as the lock said.
    """

    keys: LockKeys
    why: Busy | Stale


class Locking(Protocol):
    """One Redis, or a majority of several: locks are acquired and released in the same way."""

    async def acquire(self, keys: LockKeys, owner: str, ttl_ms: int) -> Acquired: ...
    async def extend(self, grant: Granted, ttl_ms: int) -> Granted | None: ...
    async def release(self, grant: Granted) -> int: ...


def owner_of(reservation_id: str, epoch: int) -> str:
    """Return the name of a hold as the owner of locks.

    epoch: of the hold, from 1. Seats that late money has bought again have another epoch, and so
           another owner.
    """
    return f"{reservation_id}:{epoch}"


def split_owner(owner: bytes) -> tuple[str, int] | None:
    """Return reservation and epoch of an owner, or None for a name of another form."""
    match = _OWNER.fullmatch(owner)
    return None if match is None else (match[1].decode(), int(match[2]))


def new_token() -> str:
    """Return a token that nobody can guess: 128 random bits."""
    return secrets.token_hex(_TOKEN_BYTES)


def good_until_s(began_s: float, ttl_ms: int) -> float:
    """Return when a grant ends that was begun at `began_s`, by our monotonic clock.

    The server's clock may be faster than ours by a hundredth, and is read in whole ms.
    """
    return began_s + (ttl_ms - (0.01 * ttl_ms + 2)) / 1000


class SeatLock:
    """The locks at one Redis, or of one cluster.

    ask: what it raises where Redis does not answer, each operation raises.
    """

    def __init__(self, ask: Ask, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock_s = clock_s

    async def acquire(
        self,
        keys: LockKeys,
        owner: str,
        ttl_ms: int,
        *,
        fence: int = 0,
        token: str = "",
        life_ms: int = LIFE_MS,
    ) -> Acquired:
        """Lock all keys or none; keys that the owner has already are locked anew.

        fence:   0 for the next one. token: that of a former try, to have the same grant.
        life_ms: how long the grant may last in all, with all extensions.
        """
        token = token or new_token()
        began_s = self._clock_s()
        numbers = (ttl_ms, fence, max(ttl_ms, life_ms), FENCES_MS)
        answer = await _ACQUIRE.run(
            self._ask, (keys.fence, *keys.locks), [owner, token, *map(str, numbers)]
        )
        if answer[0] == 0:
            taken = tuple(keys.names[index - 1] for index in answer[2:])
            return Busy(taken, max(0, answer[1]))
        if answer[0] < 0:
            return Stale(answer[1])
        return Granted(keys, owner, token, answer[1], good_until_s(began_s, ttl_ms))

    async def extend(self, grant: Granted, ttl_ms: int) -> Granted | None:
        """Return the extended grant; None where it has ended, or another owner has the keys."""
        began_s = self._clock_s()
        lasts_ms = await self._extend(grant.keys, grant.owner, grant.token, ttl_ms)
        if not lasts_ms:
            return None
        return replace(grant, ends_s=good_until_s(began_s, lasts_ms))

    async def extend_of(self, keys: LockKeys, owner: str, ttl_ms: int) -> int:
        """Extend all locks that this owner has of the keys, for a hold that the log has extended.

        Return how long they last, in ms; 0 where one has ended or has another owner.
        """
        return await self._extend(keys, owner, "", ttl_ms)

    async def release(self, grant: Granted) -> int:
        """Release a grant; return how many locks were removed.

        0 is no fault: the grant has ended, another owner has the keys, or this was sent twice.
        """
        return await self._release(grant.keys, grant.owner, grant.token)

    async def release_of(self, keys: LockKeys, owner: str) -> int:
        """Release all locks that this owner has of the keys, for a hold that the log has ended."""
        return await self._release(keys, owner, "")

    async def owner(self, lock: str) -> str:
        """Return the owner of the lock under a key; empty where nobody has it."""
        owner: bytes | None = await self._ask("HGET", lock, "o")
        return "" if owner is None else owner.decode(errors="replace")

    async def mend(self, keys: LockKeys, longest_ms: int) -> int:
        """Remove what lies under these keys and is no lock; return how much there was.

        longest_ms: no lock of these keys lasts longer.
        """
        removed: int = await _MEND.run(self._ask, keys.locks, (longest_ms,))
        return removed

    async def _extend(self, keys: LockKeys, owner: str, token: str, ttl_ms: int) -> int:
        values = (owner, token, ttl_ms, FENCES_MS)
        lasts_ms: int = await _EXTEND.run(self._ask, (keys.fence, *keys.locks), values)
        return lasts_ms

    async def _release(self, keys: LockKeys, owner: str, token: str) -> int:
        released: int = await _RELEASE.run(self._ask, keys.locks, (owner, token))
        return released


async def acquire_all(
    locks: Locking, groups: Sequence[tuple[LockKeys, str]], ttl_ms: int
) -> tuple[Granted, ...] | NotAll:
    """Lock keys of several hash tags, each for its owner: all of them, or none.

    Nobody waits while it has a grant, and all lock in the order of the keys. So two who want
    the same keys meet at the first of them.
    """
    grants: list[Granted] = []
    try:
        for keys, owner in sorted(groups, key=lambda group: group[0].locks):
            grant = await locks.acquire(keys, owner, ttl_ms)
            if not isinstance(grant, Granted):
                await release_all(locks, grants)
                return NotAll(keys, grant)
            grants.append(grant)
    except BaseException:
        # A grant that cannot be released expires; the first error must not be hidden by another.
        with suppress(Exception):
            await release_all(locks, grants)
        raise
    return tuple(grants)


async def release_all(locks: Locking, grants: Sequence[Granted]) -> None:
    """Release every grant, the newest first."""
    for grant in reversed(grants):
        await locks.release(grant)
