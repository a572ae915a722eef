"""Waiting rooms as they lie in Redis, found by SCAN; none of the pods' own code reads them."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

ROOMS: Final = "seatstream:waiting:{*}:room"
PAGE = 1_000
TIMEOUT_S = 15.0
COUNTS: Final = ("joined", "left", "expired", "done")

_ROOM: Final = re.compile(rb"seatstream:waiting:\{(\d{1,19})\}:room")


@dataclass(frozen=True, slots=True)
class SeenRoom:
    """One room at one moment.

    fault:    why it is no room of ours; empty where it is one. counts: those of `COUNTS`.
    waiting:  turn by user. admitted: who is in. turns: the last turn of each user.
    unsaid:   steps that are not written down yet, `step:turn:user`.
    """

    event_id: int
    fault: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    admitted: frozenset[str] = frozenset()
    turns: dict[str, int] = field(default_factory=dict)
    unsaid: frozenset[str] = frozenset()


def read_rooms(url: str) -> tuple[SeenRoom, ...]:
    """Return all rooms by event; raises RedisError, and ValueError for no address."""
    with Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as redis:
        found = {_ROOM.fullmatch(key) for key in redis.scan_iter(ROOMS, PAGE)}
        events = sorted({int(match[1]) for match in found if match is not None})
        return tuple(seen(redis, event) for event in events)


def seen(redis: Any, event: int) -> SeenRoom:
    """Return what lies under the keys of a room, all of one moment."""
    tag = f"seatstream:waiting:{{{event}}}:"
    asking = redis.pipeline(transaction=True)
    asking.hmget(tag + "room", COUNTS)
    asking.zrange(tag + "line", 0, -1, withscores=True)
    asking.zrange(tag + "active", 0, -1)
    asking.hgetall(tag + "turns")
    asking.hkeys(tag + "unsaid")
    answers = asking.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE"):
            return SeenRoom(event, str(answer))
        # Who may not read it does not know who stands there.
        if isinstance(answer, Exception):
            raise answer
    counts, line, active, turns, unsaid = answers
    try:
        return SeenRoom(
            event,
            "",
            {name: int(count) for name, count in zip(COUNTS, counts, strict=True)},
            {user.decode(): int(turn) for user, turn in line},
            frozenset(user.decode() for user in active),
            {user.decode(): int(turn) for user, turn in turns.items()},
            frozenset(step.decode() for step in unsaid),
        )
    except (ValueError, TypeError) as error:
        return SeenRoom(event, f"{type(error).__name__}: {error}")
