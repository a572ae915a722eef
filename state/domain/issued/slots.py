"""The slots of an allocation: a window of days to come, topped up before it runs out. Pure.

A slot is a day and a time of day where the event is; no allocation has two at the same. A window
goes on behind its last day, and never begins before tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple

WEEKEND: Final = frozenset({5, 6})
TOP_UP_MS: Final = 6 * 3_600_000
"""So often each window is looked at."""

DAYS_MAX: Final = 366
"""So far beyond today a window never reaches, whatever the clock once said."""


class Rules(NamedTuple):
    """When slots are.

    zone:   where. at: time of day there.
    window: so many there are; least: when fewer are left, it is filled again.
    dark:   days of the week without slots, 0 for Monday; never all of them.
    """

    zone: tzinfo
    at: time = time(16, 0)
    window: int = 7
    least: int = 3
    dark: AbstractSet[int] = WEEKEND


class Slot(NamedTuple):
    """One slot.

    day: of the calendar there, in days since 0001-01-01, which is 1. minute: of the day there.
    starts_ms: when that is, Unix ms.
    """

    day: int
    minute: int
    starts_ms: int

    @property
    def date(self) -> str:
        """Return its day, `YYYY-MM-DD`."""
        return date.fromordinal(self.day).isoformat()

    @property
    def time(self) -> str:
        """Return its time of day, `HH:MM`."""
        return f"{self.minute // 60:02}:{self.minute % 60:02}"


def slot_on(day: date, rules: Rules) -> Slot:
    """Return the slot of a day.

    A time that a change of clocks leaves out is as much later as clocks are put forward; of one
    that comes twice it is the first.
    """
    local = datetime.combine(day, rules.at, rules.zone)
    minute = 60 * rules.at.hour + rules.at.minute
    return Slot(day.toordinal(), minute, int(local.timestamp() * 1000))


def to_come(slots: tuple[Slot, ...], now_ms: int) -> tuple[Slot, ...]:
    """Return those that have not begun."""
    return tuple(slot for slot in slots if slot.starts_ms > now_ms)


def begun(slots: tuple[Slot, ...], now_ms: int, rules: Rules) -> tuple[Slot, ...]:
    """Return the slots with those that a window lacks, when an allocation arrives."""
    lacking = rules.window - len(to_come(slots, now_ms))
    return (*slots, *_behind(slots, now_ms, rules, lacking))


def topped_up(slots: tuple[Slot, ...], now_ms: int, rules: Rules) -> tuple[Slot, ...]:
    """Return the slots, filled again where fewer than the least are to come."""
    if len(to_come(slots, now_ms)) >= rules.least:
        return slots
    return begun(slots, now_ms, rules)


def _behind(slots: tuple[Slot, ...], now_ms: int, rules: Rules, count: int) -> Iterator[Slot]:
    """Yield so many slots behind the last one, and behind today."""
    today = datetime.fromtimestamp(now_ms / 1000, rules.zone).date()
    last = max([today.toordinal(), *(slot.day for slot in slots)])
    day = date.fromordinal(last)
    for _ in range(max(0, count)):
        day = _next(day, rules)
        if day.toordinal() > today.toordinal() + DAYS_MAX:
            return
        yield slot_on(day, rules)


def _next(day: date, rules: Rules) -> date:
    day += timedelta(days=1)
    while day.weekday() in rules.dark:
        day += timedelta(days=1)
    return day
