import pytest
from hypothesis import given
from hypothesis import strategies as st

from serdes.avro.codegen import encoder
from serdes.wire import header_of
from state.records.held import HeldWriter, parts

LONG_MAX = 2**63 - 1
SCHEMA_ID = 7
reservation = encoder("io.seatstream.state.Reservation")
seats_held = encoder("io.seatstream.outcomes.SeatsHeld", header_of(SCHEMA_ID))
writer = HeldWriter(SCHEMA_ID)
numbers = st.integers(0, 200) | st.integers(0, LONG_MAX) | st.integers(2**26, 2**28)


@given(
    request=st.binary(min_size=1, max_size=80),
    outcome_id=st.binary(min_size=1, max_size=300),
    offset=numbers,
    version=numbers,
    held_at_ms=numbers,
    hold_ms=st.integers(1, 10**9),
    seats=st.tuples(st.integers(0, 9000), st.integers(0, 1000), st.integers(1, 16)),
    price=st.tuples(numbers, st.sampled_from([b"", b"EUR", b"KRW"])),
)
def test_records_put_together_from_parts_are_the_whole_records(
    request: bytes,
    outcome_id: bytes,
    offset: int,
    version: int,
    held_at_ms: int,
    hold_ms: int,
    seats: tuple[int, int, int],
    price: tuple[int, bytes],
) -> None:
    deadline_ms = min(held_at_ms + hold_ms, LONG_MAX)
    times = writer.times(held_at_ms, deadline_ms)
    for _ in range(2):  # The second time from remembered parts.
        assert writer.write(request, outcome_id, offset, version, times, seats, price) == (
            reservation(
                request, seats[2], (), 1, 1, held_at_ms, deadline_ms, offset, version,
                (seats,), 0, None, (), *price, b"",
            ),
            seats_held(
                request, outcome_id, version, held_at_ms, 1, deadline_ms, (seats,), *price
            ),
        )  # fmt: skip


def test_parts_that_are_not_the_record_are_refused() -> None:
    with pytest.raises(ValueError, match="row, first, count"):
        parts("io.seatstream.types.SeatRange", ("row", "count"), ("first",))
