"""Locks in Redis: an efficiency, never the truth. Whoever may hold a seat is decided by the log.

Every invariant holds with locks deleted, duplicated or frozen at random; the end of a lock frees
no seat. What a lock is good for is that most of those who would be refused are told at once.

Each operation is one script, for one key or a hundred, all or nothing. A client may send it twice:
the second has the effect of the first. What is locked together has one hash tag, and so lies on
one node; what does not is locked in the order of its keys, so that nobody waits in a circle.

Beside its owner's name a lock has a random token, by which an owner tells its own claim from an
earlier one, and a fence: a number that rises with each claim and outlives the lock. What a fence
guards refuses a lower one, as `acquire` does, so a holder who slept beyond its time does no harm.
Whatever has one hash tag has one count of fences: what outlives a lock is one number, not one for
each seat that somebody ever named.
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
"""A lock of a hold lasts so long beyond its deadline: the log's time may be behind ours."""

LIFE_MS: Final = 31 * 86_400_000
"""No lock lasts longer, however often it is extended; a hold does not either."""

FENCES_MS: Final = 86_400_000
"""Fences last so long beyond their locks: a holder who slept for longer is no holder any more."""

_TOKEN_BYTES: Final = 16
_OWNER: Final = re.compile(rb"([A-Za-z0-9_-]{1,64}):([1-9][0-9]{0,9})")

_ACQUIRE: Final = Script("acquire")
_RELEASE: Final = Script("release")
_EXTEND: Final = Script("extend")


@dataclass(frozen=True, slots=True)
class Granted:
    """A claim.

    ends_s: of our monotonic clock; the claim is not to be relied on from then on.
    """

    keys: LockKeys
    owner: str
    token: str
    fence: int
    ends_s: float

    def left_ms(self, now_s: float) -> float:
        """Return how long the claim is good for; 0 or less where it is not any more."""
        return (self.ends_s - now_s) * 1000


@dataclass(frozen=True, slots=True)
class Busy:
    """Another has some of it, who is not named.

    names:   of what another has. wait_ms: until it may be free; 0 where nobody knows.
    """

    names: tuple[str, ...]
    wait_ms: int


@dataclass(frozen=True, slots=True)
class Stale:
    """A later claim was granted already: whoever asks acts on what is over."""

    fence: int


Claimed = Granted | Busy | Stale


@dataclass(frozen=True, slots=True)
class NotAll:
    """Of several hash tags one is refused, so nothing is claimed.

    keys: of that one. claimed: why.
    """

    keys: LockKeys
    claimed: Busy | Stale


class Locking(Protocol):
    """One Redis, or a majority of several: claims are made and given up alike."""

    async def acquire(self, keys: LockKeys, owner: str, ttl_ms: int) -> Claimed: ...
    async def extend(self, claim: Granted, ttl_ms: int) -> Granted | None: ...
    async def release(self, claim: Granted) -> int: ...


def owner_of(reservation_id: str, epoch: int) -> str:
    """Return the owner of locks of a hold.

    epoch: of the hold, from 1; of money that took the seats again it is another owner.
    """
    return f"{reservation_id}:{epoch}"


def split_owner(owner: bytes) -> tuple[str, int] | None:
    """Return reservation and epoch of an owner, or None where it is none of `owner_of`."""
    match = _OWNER.fullmatch(owner)
    return None if match is None else (match[1].decode(), int(match[2]))


def new_token() -> str:
    """Return a token that nobody guesses: 128 random bits."""
    return secrets.token_hex(_TOKEN_BYTES)


def good_until_s(began_s: float, ttl_ms: int) -> float:
    """Return when a claim ends by our monotonic clock that we began to make at `began_s`.

    The server's clock may be faster than ours by a hundredth, and is read in whole ms.
    """
    return began_s + (ttl_ms - (0.01 * ttl_ms + 2)) / 1000


class SeatLock:
    """The locks at one Redis, or of one cluster.

    ask: raises for itself where Redis does not answer; so does each operation here.
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
    ) -> Claimed:
        """Claim all of it, or nothing; what the owner has already is claimed anew.

        fence:   0 for the next one. token: of a former try, which then is the same claim.
        life_ms: how long extensions may let it last in all.
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

    async def extend(self, claim: Granted, ttl_ms: int) -> Granted | None:
        """Return the claim as it lasts now; None where it has ended, or is another's."""
        began_s = self._clock_s()
        lasts_ms = await self._extend(claim.keys, claim.owner, claim.token, ttl_ms)
        if not lasts_ms:
            return None
        return replace(claim, ends_s=good_until_s(began_s, lasts_ms))

    async def extend_of(self, keys: LockKeys, owner: str, ttl_ms: int) -> int:
        """Let what this owner has last longer; for whom the log told that a hold does.

        Return how long all of it lasts, ms; 0 where some of it has ended, or is another's.
        """
        return await self._extend(keys, owner, "", ttl_ms)

    async def release(self, claim: Granted) -> int:
        """Give a claim up; return how many locks there were.

        0 is no fault: it has ended, another has it, or this was sent twice.
        """
        return await self._release(claim.keys, claim.owner, claim.token)

    async def release_of(self, keys: LockKeys, owner: str) -> int:
        """Give up whatever this owner has of it; for whom the log told that a hold is over."""
        return await self._release(keys, owner, "")

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
    """Claim what lies under several hash tags, each for its owner: all of it, or nothing.

    Nobody waits while they have something, and everybody claims in the order of the keys: two who
    want the same meet at the first of it.
    """
    claims: list[Granted] = []
    try:
        for keys, owner in sorted(groups, key=lambda group: group[0].locks):
            claim = await locks.acquire(keys, owner, ttl_ms)
            if not isinstance(claim, Granted):
                await release_all(locks, claims)
                return NotAll(keys, claim)
            claims.append(claim)
    except BaseException:
        # What cannot be given up ends by itself; why we leave must not be lost over it.
        with suppress(Exception):
            await release_all(locks, claims)
        raise
    return tuple(claims)


async def release_all(locks: Locking, claims: Sequence[Granted]) -> None:
    """Give up every claim, newest first."""
    for claim in reversed(claims):
        await locks.release(claim)
