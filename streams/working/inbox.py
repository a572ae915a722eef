"""Which events a consumer group has acted on: an event that comes again has no effect.

An event is known by its id, and as a step by (correlation id, type): neither may come twice. The
marks lie in the partition's own store, so that they are committed with the effect or not at all.
Each group has a store of its own: two groups on one topic both act, and what a group publishes
marks nothing as consumed.

A mark is forgotten after the retention. It has to be longer than the source keeps its records:
what may be read again must still be known. An event has to come to the same partition again,
which its key decides.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from streams.batch import State

EVENT: Final = b"\xfci"
STEP: Final = b"\xfcs"
"""Begin the store keys of an inbox."""


class Event(NamedTuple):
    """What an event is known by.

    correlation_id, type: empty where it has none; it is no step then.
    """

    id: str
    correlation_id: str = ""
    type: str = ""


class Seen(StrEnum):
    """Why an event has no effect. The value is what it is counted as."""

    EVENT = "REPEATED"
    """An event of this id was consumed."""
    STEP = "STEP_REPEATED"
    """An event of this correlation id and type was consumed, under another id."""


class Inbox:
    """The events of one partition that its group has consumed, over the partition's state.

    Whatever the state raises goes on to the caller: that an event is new is never guessed.
    """

    def __init__(self, state: State, retention_ms: int) -> None:
        self._state = state
        self._retention_ms = retention_ms

    def seen(self, event: Event) -> Seen | None:
        """Say whether, and by what, an event was consumed before."""
        by_id, by_step = _keys(event)
        found = self._state.get_many([by_id] if by_step is None else [by_id, by_step])
        if found[0] is not None:
            return Seen.EVENT
        return Seen.STEP if len(found) > 1 and found[1] is not None else None

    def mark(self, event: Event, now_ms: int) -> None:
        """Note that an event is consumed: in the batch that has its effect."""
        due_ms = now_ms + self._retention_ms
        for key in _keys(event):
            if key is not None:
                self._state.put(key, b"", due_ms)

    def note(self, event: Event, note: bytes, now_ms: int) -> None:
        """Note that an event is consumed, and for whoever sends it again what to do then."""
        self._state.put(EVENT + event.id.encode(), note, now_ms + self._retention_ms)

    def noted(self, event: Event) -> bytes:
        """Return the note of an event; empty where there is none."""
        return self._state.get(EVENT + event.id.encode()) or b""

    def forget(self, key: bytes) -> bool:
        """Forget a mark whose time is over; False for a key that is none of an inbox."""
        is_ours = key.startswith((EVENT, STEP))
        if is_ours:
            self._state.delete(key)
        return is_ours


def _keys(event: Event) -> tuple[bytes, bytes | None]:
    by_id = EVENT + event.id.encode()
    if not event.correlation_id or not event.type:
        return by_id, None
    # With its length before it, so that no two pairs have one key, whatever bytes they are.
    correlation_id = event.correlation_id.encode()
    return by_id, STEP + b"%d:" % len(correlation_id) + correlation_id + event.type.encode()
