"""Dead letters: the original bytes with their cause in headers, and limits on how many.

A dead letter keeps the original's key, value and headers; our headers follow them. Value and
headers are cut where the dead letter would be larger than its topic takes, and a header tells so.

A few unreadable records are normal. Many in a row mean a bad deploy; it must be stopped before the
whole topic becomes dead letters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from infra.process.record_ids import correlation_in
from streams.batch import DeadLetter, Failures, Record
from streams.runtime.process.fatal import PartitionTrouble

WINDOW_RECORDS = 1_000
LETTER_BYTES_MAX = 2 << 20
"""The largest record that a topic of dead letters takes: any record of a source topic fits."""

_PREFIX = "dead-letter-"
# Bytes kept for our headers and for lengths; each header of the original has two lengths.
_OURS_BYTES_MAX = 8 << 10
_LENGTHS_BYTES = 10

try:
    APPLICATION_VERSION = version("seatstream")
except PackageNotFoundError:
    APPLICATION_VERSION = "0"


def dead_letter_record(
    letter: DeadLetter, topic: str, partition: int
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
    """Return (key, value, headers) of a dead letter: the original's, then our headers."""
    record = letter.record
    value = record.value
    room = LETTER_BYTES_MAX - _OURS_BYTES_MAX - len(record.key or b"")
    carried = value if value is None else value[: max(0, room)]
    kept = _that_fit(record.headers or (), room - len(carried or b""))
    names = [name.encode("utf-8", "surrogateescape") for name, _ in kept]
    # The client takes names as text: bytes that are no UTF-8 are spelled out, and `header-names`
    # has the exact bytes.
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
        "correlation-id": correlation_in(record.headers or ()).id,
        **_failures(letter),
    }
    headers = [(text, content) for text, (_, content) in zip(shown, kept, strict=True)]
    headers.extend(
        (_PREFIX + name, text.encode("utf-8", "backslashreplace")) for name, text in ours.items()
    )
    return record.key, carried, headers


def _failures(letter: DeadLetter) -> dict[str, str]:
    """Return what is told of attempts at different times; of one attempt there is no more."""
    failures = letter.failures or Failures("", "", "", 0, "", 0)
    told = {
        "operation": failures.operation,
        "event-id": failures.event_id,
        "first-failed-at-ms": str(failures.first_ms),
        "first-message": failures.first[:500],
        "last-failed-at-ms": str(failures.last_ms),
    }
    return {**told, **({"correlation-id": i} if (i := failures.correlation_id) else {})}


def _that_fit(headers: Sequence[tuple[str, bytes]], room: int) -> Sequence[tuple[str, bytes]]:
    """Return as many of the first headers as `room` (bytes) is enough for."""
    for count, (name, content) in enumerate(headers):
        # A byte of a name takes up to four when it is spelled out, and two in `header-names`.
        room -= 6 * len(name) + len(content or b"") + _LENGTHS_BYTES
        if room < 0:
            return headers[:count]
    return headers


LOST = "LOST"


def lost_record(
    topic: str, partition: int, first: int, behind: int, now_ms: int
) -> tuple[None, bytes, list[tuple[str, bytes]]]:
    """Return the dead letter of records that are lost, offsets `first` to before `behind`.

    It has no value, since nothing is left that could be sent again.
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
    """Counts dead letters among the records of a partition, but for those of strangers.

    Whoever may write to a topic could else stop it for everybody.

    run_limit:   how many dead letters in a row set the partition aside.
    share_limit: how many among the last `WINDOW_RECORDS` records set it aside.
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
        letters = [letter for letter in letters if not letter.is_strangers]
        before = (
            self._run,
            self._records,
            self._letters,
            self._window.copy() if letters else None,
        )
        try:
            self._count(records, letters)
        except PartitionTrouble:
            # The batch is not committed, so it will be read and counted again.
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
