"""Server-sent events of an event's availability: what each one says, as bytes.

snapshot: all sections, as a look-up answers them. delta: the sections that changed, with all their
counts, and the names of those that are gone; applied again or over something newer than its
predecessor it gives the same. reset: what is held is to be thrown away, a snapshot follows.
age: the stream has become stale, or fresh again, though no section changed.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from api.availability.encoded import Encoded, Piece

# Milliseconds until a browser comes back after the stream has ended. A field of the first event:
# as a block of its own some clients take it for an event without data.
RETRY: Final = b"retry: 2000\n"


def snapshot_frame(encoded: Encoded, position: str, age_ms: int, bound_ms: int) -> bytes:
    body = encoded.body(age_ms, bound_ms, stale=age_ms > bound_ms)
    return b"event: snapshot\nid: %b\ndata: %b\n\n" % (position.encode(), body)


def delta_frame(
    event_id: int,
    changed: Iterable[Piece],
    removed: Iterable[str],
    position: str,
    as_of_ms: int,
    age_ms: int,
    bound_ms: int,
) -> bytes:
    """Return a delta; position: empty where no section is left, then the id stays as it was."""
    mark = b"id: %b\n" % position.encode() if position else b""
    return (
        b'event: delta\n%bdata: {"event_id":%d,"as_of_ms":%d,%b,'
        b'"sections":[%b],"removed":[%b]}\n\n'
        % (
            mark,
            event_id,
            as_of_ms,
            _age(age_ms, bound_ms),
            b",".join([piece.text for piece in changed]),
            b",".join([b'"%b"' % name.encode() for name in removed]),
        )
    )


def age_frame(age_ms: int, bound_ms: int) -> bytes:
    return b"event: age\ndata: {%b}\n\n" % _age(age_ms, bound_ms)


def reset_frame(why: str) -> bytes:
    """Return a reset; why: unreadable_id, another_topic, another_log, other_sections or behind."""
    return b'event: reset\ndata: {"why":"%b"}\n\n' % why.encode()


def comment_frame(age_ms: int) -> bytes:
    """Return what keeps proxies from ending an idle stream.

    A line and no block: some clients take a block of comments for an event without data.
    """
    return b": staleness_ms %d\n" % age_ms


def differences(
    told: Mapping[str, Piece], now: Mapping[str, Piece], unsure: AbstractSet[str] = frozenset()
) -> tuple[list[Piece], list[str]]:
    """Return the sections whose counts differ, as they are now, and the names that are gone.

    unsure: sections that some were told of otherwise.
    """
    changed = [
        piece
        for name, piece in now.items()
        if (before := told.get(name)) is not piece
        and (before is None or before.content != piece.content or name in unsure)
    ]
    return changed, [name for name in {**told, **dict.fromkeys(unsure)} if name not in now]


def unlike(told: Mapping[str, Piece], now: Mapping[str, Piece]) -> set[str]:
    """Return the sections that are not the very same in both."""
    if told is now:
        return set()
    return {name for name in (*told, *now) if told.get(name) is not now.get(name)}


def _age(age_ms: int, bound_ms: int) -> bytes:
    verdict = b"true" if age_ms > bound_ms else b"false"
    return b'"staleness_ms":%d,"bound_ms":%d,"stale":%b' % (age_ms, bound_ms, verdict)
