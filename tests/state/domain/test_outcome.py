"""How a reservation stands, told by its outcomes in any order and by its stored record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import CODECS, IDS, Partition, logs

from schemas.topics import RESERVATION_OUTCOMES
from serdes.decoding import Decoded, TopicDecoder
from state.domain.layout import SeatRange
from state.domain.outcome import (
    UNSTORED,
    Outcome,
    OutcomeKind,
    ReservationView,
    after,
    as_stored,
    moves,
    newer_view,
    place_of,
    reason_of,
)
from state.domain.reasons import Reason
from state.domain.reservation import ReleaseCause, Status
from state.records.outcomes import outcome_of
from state.records.reservation import read_reservation
from streams.driver import PipedRecord

SEATS = (SeatRange(0, 2, 2),)
numbers = st.integers(0, 2**62)


def outcome(kind: OutcomeKind, **fields: object) -> Outcome:
    told: dict[str, object] = {"outcome_id": b"section-commands:3:12:0", **fields}
    return Outcome(kind, b"r1", b"ann", b"c1", b"A", 7, version=4, decided_at_ms=99, **told)  # type: ignore[arg-type]


@given(numbers, numbers, st.integers(1, 1_000))
def test_a_commands_own_outcome_follows_the_lapses_of_its_record(
    partition: int, offset: int, ordinal: int
) -> None:
    lapse, next_lapse, own, next_record = (
        place_of(b"section-commands:%d:%d:%d" % (partition, at, number))
        for at, number in (
            (offset, ordinal),
            (offset, ordinal + 1),
            (offset, 0),
            (offset + 1, ordinal),
        )
    )
    assert lapse < next_lapse < own < next_record
    assert own[:2] == (partition, offset)


def test_the_topic_of_an_outcome_id_may_have_any_name() -> None:
    assert place_of(b"a:topic:3:12:1") == (3, 12, 1)


@pytest.mark.parametrize(
    "told", [b"", b"section-commands", b":3:12:0", b"t:3:12", b"t:x:12:0", b"t:3:12:"]
)
def test_bytes_that_are_no_outcome_id_have_no_place(told: bytes) -> None:
    with pytest.raises(ValueError):
        place_of(told)


def test_an_outcome_names_the_command_that_decided_it() -> None:
    assert outcome(OutcomeKind.HELD).command_offset == 12
    refusals = {kind for kind in OutcomeKind if outcome(kind).is_refusal}
    assert refusals == {OutcomeKind.REJECTED, OutcomeKind.REFUSED}


def test_a_reservation_moves_by_what_is_stored_of_it() -> None:
    assert {kind for kind in OutcomeKind if moves(kind, 0)} == {
        OutcomeKind.HELD,
        OutcomeKind.REJECTED,
        OutcomeKind.CONFIRMED,
        OutcomeKind.RELEASED,
        OutcomeKind.EXTENDED,
        OutcomeKind.PAYMENT_STARTED,
        OutcomeKind.REFUNDED,
    }
    stays = {reason for reason in Reason if not moves(OutcomeKind.REJECTED, reason)}
    assert stays == UNSTORED
    # What only newer code knows by name was stored by newer code.
    assert moves(OutcomeKind.REJECTED, 9_999)


PRICE = {"amount": 9_000, "currency": b"EUR"}


def test_after_a_hold_and_its_extension_the_seats_are_those_of_the_hold() -> None:
    held = after(outcome(OutcomeKind.HELD, epoch=1, deadline_ms=500, seats=SEATS, **PRICE), ())
    assert held == ReservationView(
        reservation_id="r1",
        user_id="ann",
        event_id=7,
        section="A",
        status=Status.HELD,
        epoch=1,
        seats=SEATS,
        deadline_ms=500,
        version=4,
        decided_at_ms=99,
        outcome_id="section-commands:3:12:0",
        amount=9_000,
        currency="EUR",
    )
    told = outcome(OutcomeKind.EXTENDED, epoch=1, deadline_ms=800, **PRICE)
    extended = after(told, held.seats)
    assert extended == held._replace(deadline_ms=800)


def test_after_the_start_of_a_payment_its_deadline_is_told_and_its_seats() -> None:
    told = outcome(OutcomeKind.PAYMENT_STARTED, epoch=1, deadline_ms=900, seats=SEATS, **PRICE)
    paying = after(told, ())
    assert (paying.status, paying.deadline_ms, paying.seats) == (Status.PAYING, 900, SEATS)
    assert (paying.amount, paying.currency) == (9_000, "EUR")
    refunded = after(outcome(OutcomeKind.REFUNDED, epoch=1, seats=SEATS, **PRICE), ())
    assert (refunded.status, refunded.deadline_ms, refunded.amount) == (Status.REFUNDED, 0, 9_000)


def test_after_an_end_the_reason_or_the_cause_is_told() -> None:
    rejected = after(outcome(OutcomeKind.REJECTED, reason=int(Reason.SOLD_OUT)), ())
    assert (rejected.status, rejected.reason) == (Status.REJECTED, Reason.SOLD_OUT)
    lapsed = after(outcome(OutcomeKind.RELEASED, cause=int(ReleaseCause.LAPSED)), ())
    assert (lapsed.status, lapsed.cause) == (Status.RELEASED, ReleaseCause.LAPSED)
    sold = after(outcome(OutcomeKind.CONFIRMED, seats=SEATS), ())
    assert (sold.status, sold.seats, sold.deadline_ms) == (Status.SOLD, SEATS, 0)


@given(numbers, numbers)
def test_the_view_that_was_decided_later_is_the_newer_one(one: int, other: int) -> None:
    first, second = (
        after(outcome(OutcomeKind.HELD, outcome_id=b"t:0:%d:0" % offset), ())
        for offset in (one, other)
    )
    assert newer_view(first, None) is first
    newest = newer_view(first, second)
    assert newest == newer_view(second, first)
    assert place_of(newest.outcome_id.encode())[1] == max(one, other)


@given(st.integers(-5, 10_000))
def test_a_reason_that_only_newer_code_has_is_unspecified(number: int) -> None:
    known = {int(reason): reason for reason in Reason}
    assert reason_of(number) is known.get(number, Reason.UNSPECIFIED)


@given(logs(), st.randoms())
def test_a_stored_reservation_stands_as_its_outcomes_say_in_whatever_order(
    log: list[PipedRecord], order: object
) -> None:
    partition = Partition(log=list(log))
    partition.fold(log)
    decode = TopicDecoder(RESERVATION_OUTCOMES, IDS).decode
    told: list[Outcome] = []
    for value in partition.outcomes:
        read = decode(value)
        assert isinstance(read, Decoded)
        told.append(outcome_of(read.name, read.fields))
    seats = {one.reservation_id: one.seats for one in told if one.kind is OutcomeKind.HELD}
    order.shuffle(told)  # type: ignore[attr-defined]
    views: dict[bytes, ReservationView] = {}
    for one in told:
        if moves(one.kind, one.reason):
            key = one.reservation_id
            views[key] = newer_view(after(one, seats.get(key, ())), views.get(key))
    stored = {
        key[1:]: as_stored(read_reservation(CODECS, value), "section-commands:0:")
        for key, value in partition.stored().items()
        if key[:1] == b"r"
    }
    assert views == stored
