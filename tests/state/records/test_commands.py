"""What is asked of a section, as its worker reads it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.section_commands import CODECS, IDS

from serdes.decoding import Decoded
from state.domain.layout import OrphanRule, Plan, Row, Rules, SeatRange
from state.domain.price import UNPRICED, PriceList
from state.domain.reservation import PaymentFailure
from state.plans.seating import SectionPlan
from state.records import names
from state.records.commands import CommandEncoders
from state.records.section import plan_of

ENCODERS = CommandEncoders(IDS)
WHO = ("r-1", "ann", "A-1", 7, "c-1")
IDENTITY = ENCODERS.identity(*WHO)
ids = st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z")
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=16)
times = st.integers(0, 2**50)
rows = st.builds(
    Row,
    label=words,
    seat_count=st.integers(1, 60),
    first_number=st.integers(0, 900),
    number_step=st.integers(1, 2),
    seat_labels=st.lists(words, max_size=3).map(tuple),
    aisles=st.lists(st.integers(1, 59), max_size=3, unique=True).map(sorted).map(tuple),
    category=words,
    seat_categories=st.lists(words, max_size=3).map(tuple),
)
ranges = st.builds(SeatRange, st.integers(0, 9), st.integers(0, 59), st.integers(1, 9))
rules = st.builds(
    Rules,
    orphan_rule=st.sampled_from(OrphanRule),
    max_seats_per_hold=st.integers(1, 16),
    hold_ms=st.integers(1, 10**7),
    max_hold_ms=st.integers(1, 10**7),
    sale_starts_ms=times,
    sale_ends_ms=times,
    payment_ms=st.integers(1, 10**7),
)


def read(value: bytes) -> Any:
    """Return the command by its names."""
    told = CODECS.commands.decode(value)
    assert isinstance(told, Decoded)
    kind: Any = getattr(names, told.name.rpartition(".")[2])
    return kind._make(told.fields)


@given(ids, ids, st.from_regex(r"\A[A-Z0-9-]{1,32}\Z"), st.integers(0, 2**63 - 1), ids)
def test_who_asks_stands_before_every_command(
    reservation_id: str, user: str, section: str, event_id: int, correlation: str
) -> None:
    identity = ENCODERS.identity(reservation_id, user, section, event_id, correlation)
    hold = read(ENCODERS.hold_best(identity, 2))
    assert hold == names.HoldBestAvailable(
        reservation_id.encode(),
        user.encode(),
        correlation.encode(),
        section.encode(),
        event_id,
        identity,
        2,
    )


@pytest.mark.parametrize(
    ("value", "kind", "own"),
    [
        (ENCODERS.hold_best(IDENTITY, 3), names.HoldBestAvailable, (3,)),
        (ENCODERS.hold_in_pieces(IDENTITY, 9), names.HoldInPieces, (9, False)),
        (
            ENCODERS.hold_chosen(IDENTITY, [(0, 4), (1, 0)]),
            names.HoldChosenSeats,
            (2, ((0, 4), (1, 0))),
        ),
        (ENCODERS.confirm(IDENTITY, 2), names.ConfirmReservation, (2,)),
        (ENCODERS.release(IDENTITY), names.ReleaseReservation, (0,)),
        (ENCODERS.extend(IDENTITY, 1), names.ExtendHold, (1,)),
        (ENCODERS.change_sale_window(IDENTITY, 5, 0), names.ChangeSaleWindow, (5, 0)),
        (
            ENCODERS.start_payment(IDENTITY, 1, "mock", "card", b"{}"),
            names.StartPayment,
            (1, b"mock", b"card", b"{}"),
        ),
        (ENCODERS.fail_payment(IDENTITY, 1, PaymentFailure.EXPIRED), names.FailPayment, (1, 2)),
        (ENCODERS.refund_seats(IDENTITY, 2), names.RefundSeats, (2,)),
    ],
)
def test_a_command_is_read_as_what_was_asked(
    value: bytes, kind: type[Any], own: tuple[Any, ...]
) -> None:
    command = read(value)
    assert type(command) is kind
    assert command[names.OWN_FIELDS :] == own
    assert command.request == IDENTITY


@given(
    st.lists(rows, min_size=1, max_size=4).map(tuple),
    st.lists(ranges, max_size=3).map(tuple),
    rules,
    st.sampled_from([UNPRICED, PriceList("EUR", (("gold", 4_500), ("é", 0)))]),
)
def test_a_section_is_opened_with_the_plan_that_was_given(
    rows: tuple[Row, ...], not_for_sale: tuple[SeatRange, ...], rules: Rules, prices: PriceList
) -> None:
    section = SectionPlan("A-1", "Block A", rows, "zones[0]", not_for_sale, prices)
    opened = read(ENCODERS.open_section(IDENTITY, section, rules))
    assert plan_of(opened) == Plan(1, rows, not_for_sale, rules, prices)
