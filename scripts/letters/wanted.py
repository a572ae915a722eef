"""Which dead letters somebody asks for."""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scripts.letters.letter import Letter

_AGO = re.compile(r"(\d{1,9})(s|m|h|d)")
_MS_BY_UNIT = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_UNIX_MS = re.compile(r"\d{12,15}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter; what is empty or None asks for nothing.

    since_ms, until_ms: of the original's timestamp, Unix ms; until is not included.
    places: `partition:offset` of letters.
    """

    causes: AbstractSet[str] = frozenset()
    topics: AbstractSet[str] = frozenset()
    keys: AbstractSet[bytes] = frozenset()
    places: AbstractSet[str] = frozenset()
    correlation: str = ""
    since_ms: int | None = None
    until_ms: int | None = None

    def has(self, letter: Letter) -> bool:
        """Say whether a letter is asked for."""
        at_ms = letter.origin.timestamp
        return (
            (not self.causes or letter.cause in self.causes)
            and (not self.topics or letter.origin.topic in self.topics)
            and (not self.keys or letter.key in self.keys)
            and (not self.places or letter.place in self.places)
            and (not self.correlation or letter.told.get("correlation-id") == self.correlation)
            and (self.since_ms is None or at_ms >= self.since_ms)
            and (self.until_ms is None or at_ms < self.until_ms)
        )


def moment(said: str, now_ms: int) -> int:
    """Return Unix ms of a time: `90m` ago, Unix ms, or ISO 8601, in UTC where it names no zone.

    Raises ValueError.
    """
    ago = _AGO.fullmatch(said)
    if ago:
        return now_ms - int(ago[1]) * _MS_BY_UNIT[ago[2]]
    if _UNIX_MS.fullmatch(said):
        return int(said)
    at = datetime.fromisoformat(said)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - _EPOCH) // _MS


def as_time(ms: int) -> str:
    """Return a time as ISO 8601 in UTC, or the number where no calendar has it."""
    try:
        return (_EPOCH + ms * _MS).isoformat(timespec="milliseconds")
    except OverflowError:
        return str(ms)
