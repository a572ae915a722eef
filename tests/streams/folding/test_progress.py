"""The progress of a partition, as its store has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serdes.avro.refused import Refused
from serdes.avro.schema_files import inlined
from streams.folding.progress import KeptProgress, read_progress, write_progress

longs = st.integers(0, 2**63 - 1)


@given(longs, longs, longs, st.integers(1, 2**31 - 1))
def test_progress_comes_back_from_its_record(
    offset: int, log: int, timer: int, rules: int
) -> None:
    kept = KeptProgress(offset, log, timer, rules)
    assert read_progress(write_progress(kept)) == kept


def test_progress_has_the_fields_of_its_schema_in_their_order() -> None:
    names = [field["name"] for field in inlined("io.seatstream.state.Progress")["fields"]]
    assert names == ["nextOffset", "logTimeMs", "timerMs", "logicVersion"]
    assert KeptProgress._fields == ("next_offset", "log_time_ms", "timer_ms", "logic_version")


def test_bytes_that_are_no_progress_are_refused() -> None:
    with pytest.raises(Refused):
        read_progress(b"\0")
