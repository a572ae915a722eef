"""The booking queue as it lies in Redis, found by SCAN; none of the pods' own code reads it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from scripts.auditing.booked.lines import named_in

KEYS: Final = "seatstream:queue:*"
PAGE: Final = 1_000
TIMEOUT_S: Final = 15.0
COUNTS: Final = ("number", "completed", "expired", "cancelled", "dead")
FIELDS: Final = ("user", "status", "number", "token", "outcome")

_KEY: Final = re.compile(
    rb"seatstream:queue:\{(\d{1,19})\}:(?:item:(.{1,64})|[a-z]{1,16})", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class SeenItem:
    """One item; number: its place in the order in which all came, 0 for none of ours.

    token: of the worker that has it. reservation_id: of what is held for it; "?" for an outcome
    that is none of ours.
    """

    user: str
    status: str
    number: int
    token: str = ""
    reservation_id: str = ""


@dataclass(frozen=True, slots=True)
class SeenQueue:
    """The queue of one event at one moment, or what moved while it was read.

    fault:  why it is no queue of ours; empty where it is one. moved: workers were at it.
    line:   number by item. later, taken, dead: items. leases: item by token.
    counts: those of `COUNTS`. items: by their ids.
    """

    event_id: int
    fault: str = ""
    moved: bool = False
    line: dict[str, int] = field(default_factory=dict)
    later: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()
    leases: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    items: dict[str, SeenItem] = field(default_factory=dict)


def read_queues(url: str) -> tuple[SeenQueue, ...]:
    """Return the queues of all events; raises RedisError, and ValueError for no address."""
    with Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as redis:
        items: dict[int, set[bytes]] = {}
        for key in redis.scan_iter(KEYS, PAGE):
            match = _KEY.fullmatch(key)
            if match is not None:
                of_event = items.setdefault(int(match[1]), set())
                of_event |= {match[2]} if match[2] is not None else set()
        return tuple(seen(redis, event, sorted(ids)) for event, ids in sorted(items.items()))


def seen(redis: Any, event: int, ids: list[bytes]) -> SeenQueue:
    """Return what lies under the keys of a queue; ids: of its items."""
    try:
        before = _listed(redis, event)
        items = dict(_items(redis, event, ids))
        after = _listed(redis, event)
        line, later, taken, dead, leases, counts = after
        return SeenQueue(
            event,
            "",
            before != after,
            {item.decode(): int(number) for item, number in line},
            frozenset(item.decode() for item in later),
            frozenset(item.decode() for item in taken),
            frozenset(item.decode() for item in dead),
            {token.decode(): item.decode() for token, item in leases.items()},
            {name: int(count or 0) for name, count in zip(COUNTS, counts, strict=True)},
            items,
        )
    except (ValueError, TypeError) as error:
        return SeenQueue(event, f"{type(error).__name__}: {error}")
    except ResponseError as error:
        # Who may not read it does not know who stands there.
        if not str(error).startswith("WRONGTYPE"):
            raise
        return SeenQueue(event, str(error))


def _listed(redis: Any, event: int) -> list[Any]:
    """Return what names items, all of one moment."""
    tag = f"seatstream:queue:{{{event}}}:"
    asking = redis.pipeline(transaction=True)
    asking.zrange(tag + "line", 0, -1, withscores=True)
    for name in ("later", "taken", "dead"):
        asking.zrange(tag + name, 0, -1)
    asking.hgetall(tag + "leases")
    asking.hmget(tag + "counts", COUNTS)
    answers = asking.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return list(answers)


def _items(redis: Any, event: int, ids: list[bytes]) -> Iterator[tuple[str, SeenItem]]:
    tag = f"seatstream:queue:{{{event}}}:item:".encode()
    for first in range(0, len(ids), PAGE):
        page = ids[first : first + PAGE]
        asking = redis.pipeline(transaction=False)
        for item in page:
            asking.hmget(tag + item, FIELDS)
        answers = asking.execute(raise_on_error=False)
        for item, answer in zip(page, answers, strict=True):
            if isinstance(answer, Exception):
                raise answer
            # One that has ended meanwhile is not there any more.
            if any(value is not None for value in answer):
                yield item.decode(), _item(answer)


def _item(answer: Iterable[bytes | None]) -> SeenItem:
    user, status, number, token, outcome = ((value or b"").decode() for value in answer)
    return SeenItem(user, status, int(number or 0), token, named_in(outcome))
