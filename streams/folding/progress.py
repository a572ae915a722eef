"""How far a partition's state has come: one record of its store."""

from __future__ import annotations

from typing import Final, NamedTuple

from serdes.avro.codegen import decoder, encoder

_RECORD: Final = "io.seatstream.state.Progress"
_read: Final = decoder(_RECORD)
_write: Final = encoder(_RECORD)


class KeptProgress(NamedTuple):
    """The stored record.

    next_offset:   of the next record to apply.
    log_time_ms:   time of the log behind the last one; timer_ms: what the ticks' clocks came to.
    logic_version: of the rules that decide from here on.
    """

    next_offset: int
    log_time_ms: int
    timer_ms: int
    logic_version: int


def read_progress(stored: bytes) -> KeptProgress:
    """Return the progress of its record; raises Refused for bytes that are none."""
    return KeptProgress._make(_read(stored, 0))


def write_progress(progress: KeptProgress) -> bytes:
    """Return the record."""
    return _write(*progress)
