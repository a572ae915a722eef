"""The tick of a worker is a command that its own handler reads as the time."""

from support.seats.section_commands import CODECS

from serdes.decoding import Decoded
from streams.emit_ticks import emit_ticks
from streams.folding.ticks import tick_version

TICK = emit_ticks(CODECS.tick)


def test_a_tick_carries_its_clock_and_is_of_the_version_whose_time_is_guarded() -> None:
    key, value = TICK.record(1_700_000_000_123)
    assert tick_version(key) == 2
    read = CODECS.commands.decode(value)
    assert isinstance(read, Decoded)
    assert read.name.endswith("Tick")
    assert read.fields[0] == 1_700_000_000_123


def test_a_tick_that_only_asks_for_the_time_carries_none() -> None:
    read = CODECS.commands.decode(TICK.record(0)[1])
    assert isinstance(read, Decoded)
    assert read.fields[0] == 0
