"""Looks through all locks for those that nobody needs any more: by SCAN, never by KEYS.

When a hold ends, its locks are removed by their exact keys. A lock is left where the record of
that end was lost, or came while Redis was away. Such locks are removed here, and also keys that
have another form than our locks or never expire: until then their seats count as locked.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from redis.exceptions import ResponseError

from state.domain.keys import section_key
from state.redis.keys import ALL_FENCES, ALL_LOCKS, seat_locks, split_seat_lock
from state.redis.scripts import Ask, Script
from state.redis.seat_lock import SeatLock, owner_of, split_owner

PAGE: Final = 500
"""Keys that one SCAN looks at: the server serves others in between."""

_AT_ONCE: Final = 8
"""Locks that are looked at side by side: a client has few connections (`client.CONNECTIONS_MAX`),
and who waits for a free one behind hundreds of questions to a slow server is told that it is
gone."""

_REPAIR: Final = Script("repair")
_ENDED, _ENDLESS = -2, -1
"""What PTTL says of a key that is not there, and of one without an end."""

_FENCES: Final = frozenset({b"hash", "hash", b"none", "none"})

IsOver = Callable[[bytes, str, int], Awaitable[bool]]
"""(section's key, reservation id, epoch) -> whether that hold has certainly ended or was sold."""


class _Seen(NamedTuple):
    """The value that was found under the key of a lock.

    owner: of the lock; None for a value that has not the form of a lock.
    told:  the value as `repair` is told it, so that it removes no other one.
    """

    owner: tuple[str, int] | None
    told: tuple[Any, ...] = ("", "", "", "")


@dataclass(slots=True)
class Swept:
    """What one look through all locks found.

    locks:    how many there were.
    orphans:  removed locks whose hold is over.
    repaired: removed keys that had not the form of a lock, or never expired.
    """

    locks: int = 0
    orphans: int = 0
    repaired: int = 0


async def sweep(ask: Ask, is_over: IsOver) -> Swept:
    """Look through all locks once; raises as `ask` and `is_over`."""
    found = Swept()
    locks = SeatLock(ask)
    async for page in _pages(ask, ALL_LOCKS):
        found.locks += len(page)
        every = await _looks(ask, page)
        for key, seen in zip(page, every, strict=True):
            if seen is None:
                continue
            place = split_seat_lock(key.decode(errors="replace"))
            if place is None:
                # None of our locks has such a key.
                found.repaired += await ask("DEL", key)
                continue
            if seen.owner is None:
                found.repaired += await _REPAIR.run(ask, [key], seen.told)
                continue
            event_id, section, seat = place
            if await is_over(section_key(event_id, section), *seen.owner):
                keys = seat_locks(event_id, section, [seat])
                # Compared with its owner again: another may have locked the seat meanwhile.
                found.orphans += await locks.release_of(keys, owner_of(*seen.owner))
    async for page in _pages(ask, ALL_FENCES):
        for key in page:
            if await ask("TYPE", key) not in _FENCES:
                found.repaired += await _REPAIR.run(ask, [key], ("", "", "", "fence"))
    return found


async def _looks(ask: Ask, keys: Sequence[bytes]) -> list[_Seen | None]:
    """Return what `_look` says of each, in their order."""
    seen: list[_Seen | None] = []
    for first in range(0, len(keys), _AT_ONCE):
        part = keys[first : first + _AT_ONCE]
        seen += await asyncio.gather(*(_look(ask, key) for key in part))
    return seen


async def _look(ask: Ask, key: bytes) -> _Seen | None:
    """Return the value of a lock; None where the lock has ended meanwhile.

    Between the two questions the lock may end and another take its place, so the value is compared
    again before it is removed.
    """
    try:
        fields = await ask("HMGET", key, "o", "t", "f")
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        return _Seen(None)
    left_ms = await ask("PTTL", key)
    if left_ms == _ENDED:
        return None
    told = tuple(b"" if one is None else one for one in fields)
    if left_ms == _ENDLESS:
        return _Seen(None, (*told, "endless"))
    return _Seen(None if None in fields else split_owner(fields[0]), (*told, ""))


async def _pages(ask: Ask, pattern: str) -> AsyncIterator[list[bytes]]:
    """Yield all keys of a pattern in pages; a key that stays comes exactly once."""
    cursor, seen = b"0", set[bytes]()
    while True:
        cursor, page = await ask("SCAN", cursor, "MATCH", pattern, "COUNT", PAGE)
        # SCAN may return a key twice while the server's table grows.
        news = sorted({*page} - seen)
        seen.update(news)
        if news:
            yield news
        if int(cursor) == 0:
            return
