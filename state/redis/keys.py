"""Every Redis key that there is; docs/redis-keys.md tells their types, expiry and writers.

Values from outside are hashed, or of a form that has no meaning to Redis, so that no text of a
caller becomes part of a key. What stands in `{}` decides the node of a cluster: all keys of a
section lie on one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from state.domain.keys import section_key, split_section_key

PREFIX: Final = "seatstream:"

SEATS_MAX: Final = 100
"""Seats that one script locks: its time is bounded, and the server's with it."""

Seat = tuple[int, int]
"""Row and seat, indexes from 0."""

_LOCK: Final = PREFIX + "lock:"
# No more digits than rows and seats have: a stranger's key may have any number of them.
_LOCK_OF_SEAT: Final = re.compile(
    r"seatstream:lock:\{([^{}]*)\}:(0|[1-9]\d{0,9})-(0|[1-9]\d{0,9})", re.ASCII
)
_LEASE: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")

WAITING_ROOMS: Final = PREFIX + "waiting-rooms"
"""Ids of the events that have a waiting room."""

PROMOTION_CYCLES: Final = PREFIX + "promotion-cycles"
"""Cycles of promotion that are under way, by the Unix ms until which somebody is at it."""

_WAITING: Final = PREFIX + "waiting:"
_PARTS_OF_ROOM: Final = ("room", "line", "seen", "active", "turns", "last", "log", "unsaid")
_PROMOTION_ID: Final = re.compile(r"[0-9a-z-]{1,96}")

QUEUE_EVENTS: Final = PREFIX + "queue-events"
"""Events that have items in the booking queue, by the Unix ms of the last one."""

_QUEUE: Final = PREFIX + "queue:"
_PARTS_OF_QUEUE: Final = (
    "line",
    "later",
    "taken",
    "timeouts",
    "leases",
    "dead",
    "counts",
    "item:",
)

ALL_LOCKS: Final = _LOCK + "*"
ALL_FENCES: Final = PREFIX + "fence:*"
"""Patterns for SCAN."""


def limit_of_user(kind: str, user_id: str) -> str:
    return f"{PREFIX}limit:{kind}:user:{_digest(user_id)}"


def limit_of_network(kind: str, network: str) -> str:
    return f"{PREFIX}limit:{kind}:net:{_digest(network)}"


def idempotency(stem: str) -> str:
    """Return where the digest of the body lies that came first under a stem.

    stem: first part of a reservation id, made of letters and digits only.
    """
    return f"{PREFIX}idem:{stem}"


@dataclass(frozen=True, slots=True)
class LockKeys:
    """What is locked together: 1 to `SEATS_MAX` keys of one hash tag.

    names:  of what is locked, in the order in which it is named everywhere.
    locks:  key of each; fence: key that outlives them, one for all of the hash tag.
    """

    names: tuple[str, ...]
    locks: tuple[str, ...]
    fence: str


def seat_locks(event_id: int, section: str, seats: Sequence[Seat]) -> LockKeys:
    """Return the keys of seats of one section, sorted, each once.

    Raises ValueError for no seat, for more than `SEATS_MAX`, and for what is no section or seat.
    """
    key = section_key(event_id, section)
    if split_section_key(key) is None or any(number < 0 for seat in seats for number in seat):
        raise ValueError(f"no section or no seats: {key!r} {seats}")
    chosen = sorted(set(seats))
    if not 1 <= len(chosen) <= SEATS_MAX:
        raise ValueError(f"1 to {SEATS_MAX} seats are locked at once, not {len(chosen)}")
    tag = "{" + key.decode() + "}"
    names = tuple(f"{row}-{seat}" for row, seat in chosen)
    locks = tuple(f"{_LOCK}{tag}:{name}" for name in names)
    return LockKeys(names, locks, f"{PREFIX}fence:{tag}")


def seat_of(name: str) -> Seat:
    """Return the seat of one of the names of `seat_locks`."""
    row, _, seat = name.partition("-")
    return int(row), int(seat)


def split_seat_lock(key: str) -> tuple[int, str, Seat] | None:
    """Return event, section and seat of a lock's key, or None where it is none of `seat_locks`."""
    match = _LOCK_OF_SEAT.fullmatch(key)
    place = split_section_key(match[1].encode()) if match else None
    if match is None or place is None:
        return None
    return *place, (int(match[2]), int(match[3]))


def lease(name: str) -> LockKeys:
    """Return the keys of what one process does at a time.

    name: of letters, digits and dashes.
    """
    if _LEASE.fullmatch(name) is None:
        raise ValueError(f"no name of a lease: {name!r}")
    return LockKeys((name,), (f"{PREFIX}lease:{{{name}}}",), f"{PREFIX}lease-fence:{{{name}}}")


def lease_of_rebuild(what: str) -> str:
    """Return the name of the lease of who makes something anew, such as a topic."""
    return f"rebuild-{_digest(what)}"


def waiting_room(event_id: int) -> tuple[str, ...]:
    """Return all keys of an event's waiting room, as `lua/waiting.lua` names them."""
    return tuple(f"{_WAITING}{{{event_id}}}:{part}" for part in _PARTS_OF_ROOM)


def promotion(event_id: int, promotion_id: str) -> str:
    """Return where the answer to a promotion lies, beside the event's room.

    promotion_id: of letters, digits and dashes.
    """
    if _PROMOTION_ID.fullmatch(promotion_id) is None:
        raise ValueError(f"no id of a promotion: {promotion_id!r}")
    return f"{_WAITING}{{{event_id}}}:promotion:{promotion_id}"


def booking_queue(event_id: int) -> tuple[str, ...]:
    """Return all keys of an event's booking queue, as `lua/queue.lua` names them.

    The last one is what the key of an item begins with; the item's id follows.
    """
    return tuple(f"{_QUEUE}{{{event_id}}}:{part}" for part in _PARTS_OF_QUEUE)


def waits_in(user_id: str) -> str:
    """Return where the one event lies that a user waits for."""
    return f"{PREFIX}waits-in:{_digest(user_id)}"


def promotion_tasks(cycle: str) -> tuple[str, str]:
    """Return the task list of a cycle, and the list of what was taken from it."""
    return f"{PREFIX}promotion-tasks:{{{cycle}}}", f"{PREFIX}promotion-taken:{{{cycle}}}"


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()
