"""A record that waits in the store, whole: for its next attempt, its answer, or its turn.

Records of one key wait in one line. The line's record lists their offsets in order; under an own
key each lies with all that a dead letter of it would say.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from streams.batch import DeadLetter, Failures, Record
from streams.working.inbox import Event

LINE: Final = b"\xfck"
WAITING: Final = b"\xfcw"
"""Begin the store keys of a line, and of the records that wait in it."""

LINE_MAX: Final = 1_000
"""Records that may wait under one key: more are dead letters."""

KEPT_BYTES_MAX: Final = 512 << 10
"""Bytes of a record that may wait; what is larger is not tried again. Stored, it is a third more,
and has to fit a record of the changelog."""

ATTEMPTS_EXHAUSTED: Final = "ATTEMPTS_EXHAUSTED"
TOO_LARGE_TO_WAIT: Final = "TOO_LARGE_TO_WAIT"
LINE_FULL: Final = "LINE_FULL"
_DETAIL_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Kept:
    """One record on its way through its attempts; as a record it is the original.

    event:    what it is known by.
    failed:   how many attempts have failed so far.
    first_ms, first: when the first of them failed, Unix ms by the log's time, and why;
    last_ms, last:   the same of the last.
    timer:    of what is woken by the log's time, and not by its record: its name. It waits in a
              line of its own, and holds nobody of its record's key up.
    timer_ms: that time, Unix ms.
    """

    event: Event
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    failed: int = 0
    first_ms: int = 0
    first: str = ""
    last_ms: int = 0
    last: str = ""
    timer: str = ""
    timer_ms: int = 0

    @classmethod
    def of_record(cls, record: Record, event: Event) -> Kept:
        headers = tuple(record.headers or ())
        return cls(event, record.offset, record.timestamp, record.key, record.value, headers)

    @classmethod
    def of_stored(cls, stored: bytes) -> Kept:
        event, offset, timestamp, key, value, headers, *failures = json.loads(stored)
        pairs: Any = tuple((name, _bytes(content)) for name, content in headers)
        return cls(Event(*event), offset, timestamp, _bytes(key), _bytes(value), pairs, *failures)

    def stored(self) -> bytes:
        # Names of headers may be any bytes: as surrogates, which JSON spells out.
        headers = [(name, _text(content)) for name, content in self.headers]
        fields = (
            *(self.event, self.offset, self.timestamp, _text(self.key), _text(self.value)),
            *(headers, self.failed, self.first_ms, self.first, self.last_ms, self.last),
            *((self.timer, self.timer_ms) if self.timer else ()),
        )
        return json.dumps(fields, separators=(",", ":")).encode()

    @property
    def size(self) -> int:
        """Return its bytes, roughly."""
        headers = sum(len(name) + len(content or b"") for name, content in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

    @property
    def line(self) -> bytes:
        """Return the key of its line; records without a key wait for nobody."""
        return LINE + self._place()

    @property
    def waiting(self) -> bytes:
        """Return the key that it waits under."""
        return waiting_key(self._place().decode(), self.offset)

    @property
    def place(self) -> str:
        """Return the name of its line and its offset, for an intent's id."""
        return f"{self._place().decode()}:{self.offset}"

    @property
    def turn(self) -> str:
        """Return what tells its attempts apart from those of others of its record; empty: none."""
        return f"{self._place()[:8].decode()}.{self.timer_ms}:" if self.timer else ""

    def after_failure(self, why: str, now_ms: int) -> Kept:
        why = why[:_DETAIL_MAX]
        if not self.failed:
            return replace(self, failed=1, first_ms=now_ms, first=why, last_ms=now_ms, last=why)
        return replace(self, failed=self.failed + 1, last_ms=now_ms, last=why)

    def letter(
        self, reason: str, operation: str, detail: str = "", *, is_strangers: bool = False
    ) -> DeadLetter:
        """Return the dead letter of this record; is_strangers as there."""
        failures = Failures(
            operation,
            self.event.id,
            self.event.correlation_id,
            self.first_ms,
            self.first,
            self.last_ms,
        )
        attempts = max(1, self.failed)
        return DeadLetter(self, reason, detail or self.last, attempts, failures, is_strangers)

    def _place(self) -> bytes:
        # A hash, because a key may be any bytes, and many.
        key = b"k" + self.key if self.key is not None else b"o%d" % self.offset
        if self.timer:
            key = b"t" + self.timer.encode()
        return hashlib.blake2b(key, digest_size=16).hexdigest().encode()


def waiting_key(line: str, offset: int) -> bytes:
    """Return the key that a record waits under; line: name of its line."""
    return WAITING + b"%s:%d" % (line.encode(), offset)


def offsets_of(line: bytes | None) -> list[int]:
    """Return the offsets in a line's record, in order; the first one's turn it is."""
    return [] if line is None else [int(offset) for offset in line.split()]


def line_of(offsets: Sequence[int]) -> bytes:
    """Return the record of a line."""
    return b" ".join(b"%d" % offset for offset in offsets)


def _text(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
