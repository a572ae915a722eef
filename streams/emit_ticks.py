"""A clock in; the tick record that moves a partition's log time, out."""

from __future__ import annotations

from serdes.avro.codegen import Encode
from streams.folding.ticks import GUARDED_TICK_KEY
from streams.route import Tick


def emit_ticks(encode: Encode) -> Tick:
    """Return how section-commands tick; `encode` writes a Tick with its schema id."""

    def record(clock_ms: int) -> tuple[bytes, bytes]:
        return GUARDED_TICK_KEY, encode(clock_ms)

    return Tick(record)
