"""Figures of the booking queue: how long, how many, how often, and in which turn events come.

Times are Unix ms by the clock of the queue, which is never that of a worker or a client.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

LENGTH_MAX: Final = 100_000
"""Items of one event that are not over; the next one is refused."""

ITEM_MS: Final = 900_000
"""How long an item waits at most, attempts included."""

LEASE_MS: Final = 120_000
"""A worker that says nothing of an item for so long has lost it: longer than its deadlines."""

RETRIES_MAX: Final = 3
FIRST_PAUSE_MS: Final = 5_000
LONGEST_PAUSE_MS: Final = 30_000

CLEANED_AT_ONCE: Final = 100
"""Items that one step of cleaning up moves: its time is bounded, and the server's with it."""

CLEAN_EVERY_MS: Final = 30_000

MS_PER_PLACE: Final = 5_000
"""What each item ahead is expected to take; source document 004 says so, nothing is measured."""

KEPT_MS: Final = 86_400_000
"""How long an item that is over can be asked for; one that is dead, `DEAD_MS`."""

DEAD_MS: Final = 30 * 86_400_000

REQUEST_BYTES_MAX: Final = 8_192
"""Bytes of a request that an item carries."""


def pause_ms(failed: int) -> int | None:
    """Return the pause after so many failed attempts, from 1; None where none is left."""
    assert failed >= 1
    if failed > RETRIES_MAX:
        return None
    return min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << (failed - 1))


def expected_wait_ms(position: int) -> int:
    """Return an estimate of the wait; position: from 1, 0 for an item that does not wait."""
    return position * MS_PER_PLACE


def in_turn(events: Collection[int], last: int | None) -> tuple[int, ...]:
    """Return events in the order in which they are served next, round robin.

    last: the event that was served last, whether or not it is still among them; None before the
    first one. Each event is served again only after all others were.
    """
    ordered = sorted(set(events))
    if last is None:
        return tuple(ordered)
    later = [event for event in ordered if event > last]
    return (*later, *(event for event in ordered if event <= last))
