"""A reservation and its outcomes come from its stored record, byte for byte."""

from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import CODECS, Partition, logs

from serdes.registry.ids import counted_ids
from state.records.commands import CommandEncoders
from state.records.reservation import (
    correlation_of,
    first_outcome,
    later_outcome,
    read_reservation,
    write_reservation,
)
from streams.driver import PipedRecord

PREFIX = b"section-commands:0:"
ENCODERS = CommandEncoders(counted_ids())
ids = st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z")


def stored_after(log: list[PipedRecord]) -> tuple[Partition, list[bytes]]:
    partition = Partition(log=list(log))
    partition.fold(log)
    return partition, [value for key, value in partition.stored().items() if key[:1] == b"r"]


@given(logs())
def test_a_reservation_is_stored_as_it_was_read(log: list[PipedRecord]) -> None:
    for stored in stored_after(log)[1]:
        assert write_reservation(CODECS, read_reservation(CODECS, stored)) == stored


@given(logs())
def test_every_outcome_that_a_reservation_stands_for_was_told_in_these_bytes(
    log: list[PipedRecord],
) -> None:
    partition, reservations = stored_after(log)
    told = set(partition.outcomes)
    for stored in reservations:
        held = read_reservation(CODECS, stored)
        assert first_outcome(CODECS, PREFIX, held) in told
        assert {later_outcome(CODECS, PREFIX, held, later) for later in held.later} <= told


@given(ids, ids, st.just("") | ids)
def test_the_correlation_id_is_found_in_an_encoded_identity(
    reservation_id: str, user: str, correlation: str
) -> None:
    request = ENCODERS.identity(reservation_id, user, "A", 7, correlation)
    assert correlation_of(request) == correlation.encode()


def test_ids_of_full_length_are_passed_over_too() -> None:
    full = "x" * 64
    assert correlation_of(ENCODERS.identity(full, full, "A", 7, full)) == full.encode()
    assert correlation_of(ENCODERS.identity(full, "u", "A", 7)) == b""
