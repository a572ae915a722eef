"""How far a partition's state has come, as one record in its store."""

from __future__ import annotations

from typing import Final, NamedTuple

from serdes.avro.codegen import decoder
from serdes.avro.stored import stored_encoder

_RECORD: Final = "io.seatstream.state.Progress"
_read: Final = decoder(_RECORD)
_write: Final = stored_encoder(_RECORD)


class KeptProgress(NamedTuple):
    """The stored record.

    next_offset:   offset of the next record to apply.
    log_time_ms:   the log's time after the last applied record.
    timer_ms:      highest clock that a tick has told; see `log_time`.
    logic_version: version of the rules that decide from here on.
    """

    next_offset: int
    log_time_ms: int
    timer_ms: int
    logic_version: int


def read_progress(stored: bytes) -> KeptProgress:
    """Decode a stored progress. Raises Refused for other bytes."""
    return KeptProgress._make(_read(stored, 0))


def write_progress(progress: KeptProgress) -> bytes:
    """Encode a progress for the store."""
    return _write(*progress)
