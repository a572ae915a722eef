"""The line of a key: its records that wait in the store, each for the one before it."""

from __future__ import annotations

from streams.batch import State
from streams.working.kept import LINE, Kept, line_of, offsets_of, waiting_key


def keep(state: State, kept: Kept, due_ms: int = 0) -> None:
    """Have a record wait: at the end of its line, unless it has its place there already.

    due_ms: when it is to be tried again, Unix ms; 0 where something else brings its turn.
    """
    offsets = offsets_of(state.get(kept.line))
    if kept.offset not in offsets:
        state.put(kept.line, line_of([*offsets, kept.offset]))
    state.put(kept.waiting, kept.stored(), due_ms)


def leave(state: State, kept: Kept) -> bytes | None:
    """Take a record out of its line; return the key of the next one, whose turn has come."""
    offsets = offsets_of(state.get(kept.line))
    if kept.offset not in offsets:
        return None
    offsets.remove(kept.offset)
    state.delete(kept.waiting)
    if not offsets:
        state.delete(kept.line)
        return None
    state.put(kept.line, line_of(offsets))
    return waiting_key(name_of(kept.line), offsets[0])


def empty(state: State, line: bytes) -> bool:
    """Remove what waits in a line, and say whether there was one; line: its key, which stays."""
    stored = state.get(line)
    for offset in offsets_of(stored):
        state.delete(waiting_key(name_of(line), offset))
    return stored is not None


def name_of(line: bytes) -> str:
    """Return the name of a line by its key."""
    return line.removeprefix(LINE).decode()
