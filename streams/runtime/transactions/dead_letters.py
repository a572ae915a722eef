"""Dead letters: the original bytes with their cause in headers, and limits on how many.

A dead letter keeps the original's key, value and headers, its headers in front of ours. Whatever
would make it larger than its topic takes is cut, and a header says so.

A few unreadable records are normal. Many in a row mean a bad deploy, which must be stopped before
the whole topic drains into the dead letters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from streams.batch import DeadLetter, Record
from streams.runtime.process.fatal import PartitionTrouble

WINDOW_RECORDS = 1_000
LETTER_BYTES_MAX = 2 << 20
"""The largest record that the topic takes: room for any original of a source topic."""

_PREFIX = "dead-letter-"
# Of ours, and for lengths; a header of the original takes two lengths beside its bytes.
_OURS_BYTES_MAX = 8 << 10
_LENGTHS_BYTES = 10

try:
    APPLICATION_VERSION = version("seatstream")
except PackageNotFoundError:
    APPLICATION_VERSION = "0"


def dead_letter_record(
    letter: DeadLetter, topic: str, partition: int
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Return (key, value, headers): those of the original untouched, our headers behind them."""
    record = letter.record
    value = record.value
    room = LETTER_BYTES_MAX - _OURS_BYTES_MAX - len(record.key or b"")
    carried = value if value is None else value[: max(0, room)]
    kept = _that_fit(record.headers or (), room - len(carried or b""))
    names = [name.encode("utf-8", "surrogateescape") for name, _ in kept]
    # The client takes text only: foreign bytes of a name are spelled, and told to the byte below.
    shown = [name.decode("utf-8", "backslashreplace") for name in names]
    is_spelled = any(name != text.encode() for name, text in zip(names, shown, strict=True))
    schema_id = ""
    if value is not None and len(value) >= 5 and value[0] == 0:
        schema_id = str(int.from_bytes(value[1:5], "big"))
    ours = {
        "cause": letter.reason,
        "message": letter.detail[:500],
        "topic": topic,
        "partition": str(partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
        "attempts": str(letter.attempts),
        "application-version": APPLICATION_VERSION,
        "schema-id": schema_id,
        "value-bytes": "" if value is None else str(len(value)),
        "header-count": str(len(record.headers or ())),
        "headers-kept": str(len(kept)),
        "header-names": ",".join(name.hex() for name in names) if is_spelled else "",
    }
    headers = [(text, content) for text, (_, content) in zip(shown, kept, strict=True)]
    headers.extend(
        (_PREFIX + name, text.encode("utf-8", "backslashreplace")) for name, text in ours.items()
    )
    return record.key, carried, headers


def _that_fit(headers: Sequence[tuple[str, bytes]], room: int) -> Sequence[tuple[str, bytes]]:
    """Return the first headers, as many as there is room for, each counted with its name twice."""
    for count, (name, content) in enumerate(headers):
        # Spelled, a byte of a name takes four, and two more in hexadecimal.
        room -= 6 * len(name) + len(content or b"") + _LENGTHS_BYTES
        if room < 0:
            return headers[:count]
    return headers


LOST = "LOST"


def lost_record(
    topic: str, partition: int, first: int, behind: int, now_ms: int
) -> tuple[None, bytes, list[tuple[str, bytes]]]:
    """Return the dead letter of records that nobody can read any more, `first` to before `behind`.

    It has no value: there is nothing to send again.
    """
    ours = {
        "cause": LOST,
        "message": f"offsets {first} to {behind - 1} were removed before they were decided",
        "topic": topic,
        "partition": str(partition),
        "offset": str(first),
        "timestamp": str(now_ms),
        "attempts": "1",
        "application-version": APPLICATION_VERSION,
        "schema-id": "",
    }
    return None, b"", [(_PREFIX + name, text.encode()) for name, text in ours.items()]


class DeadLetterLimits:
    """Counts dead letters among the records of a partition.

    run_limit:   dead letters in a row that set the partition aside.
    share_limit: dead letters among the last `WINDOW_RECORDS` records that do.
    """

    def __init__(self, *, run_limit: int, share_limit: int) -> None:
        self._run_limit = run_limit
        self._share_limit = share_limit
        self._run = 0
        self._window: deque[tuple[int, int]] = deque()
        self._records = 0
        self._letters = 0

    def count(self, records: Sequence[Record], letters: Sequence[DeadLetter]) -> None:
        """Count a batch; raise PartitionTrouble when a limit is passed, with nothing counted."""
        before = (
            self._run,
            self._records,
            self._letters,
            self._window.copy() if letters else None,
        )
        try:
            self._count(records, letters)
        except PartitionTrouble:
            # It will be read again: nothing of it was committed.
            self._run, self._records, self._letters, window = before
            assert window is not None
            self._window = window
            raise

    def _count(self, records: Sequence[Record], letters: Sequence[DeadLetter]) -> None:
        self._window.append((len(records), len(letters)))
        self._records += len(records)
        self._letters += len(letters)
        while self._window and self._records - self._window[0][0] >= WINDOW_RECORDS:
            old_records, old_letters = self._window.popleft()
            self._records -= old_records
            self._letters -= old_letters
        if not letters:
            self._run = 0
            return
        dead = {letter.record.offset for letter in letters}
        for record in records:
            self._run = self._run + 1 if record.offset in dead else 0
            if self._run >= self._run_limit:
                self._stop(f"{self._run} in a row", letters)
        share = self._share_limit * max(1.0, self._records / WINDOW_RECORDS)
        if self._letters > share:
            self._stop(f"{self._letters} of the last {self._records} records", letters)

    def _stop(self, how_many: str, letters: Sequence[DeadLetter]) -> None:
        message = (
            f"too many dead letters, {how_many} (last cause: {letters[-1].reason}, "
            f"{letters[-1].detail}): nothing of this batch was committed. Roll the deploy back, "
            "or raise SEATSTREAM_DEAD_LETTER_RUN_LIMIT and SEATSTREAM_DEAD_LETTER_SHARE_LIMIT"
        )
        raise PartitionTrouble(message, "dead_letters")
