import itertools
from enum import IntEnum

import pytest

from serdes.avro.schema_files import enum_symbols
from state.domain.layout import OrphanRule
from state.domain.reservation import (
    TRANSITIONS,
    IllegalTransition,
    Later,
    ReleaseCause,
    Status,
    advance,
    extended_deadline_ms,
)

LEGAL = {
    (Status.HELD, Later.EXTENDED): Status.HELD,
    (Status.HELD, Later.CONFIRMED): Status.SOLD,
    (Status.HELD, Later.CANCELLED): Status.RELEASED,
    (Status.HELD, Later.LAPSED): Status.RELEASED,
    (Status.RELEASED, Later.REACQUIRED): Status.SOLD,
}


@pytest.mark.parametrize(("status", "later"), list(itertools.product(Status, Later)))
def test_only_what_the_table_allows_may_follow(status: Status, later: Later) -> None:
    if (status, later) in LEGAL:
        assert advance(status, later) is LEGAL[status, later]
    else:
        with pytest.raises(IllegalTransition, match=f"{status.name} x {later.name}"):
            advance(status, later)


def test_every_status_has_a_row_in_the_table() -> None:
    assert list(TRANSITIONS) == list(Status)


@pytest.mark.parametrize(
    ("enum", "name"),
    [
        (Status, "ReservationStatus"),
        (Later, "LaterKind"),
        (ReleaseCause, "ReleaseCause"),
        (OrphanRule, "OrphanRule"),
    ],
)
def test_numbers_are_the_indexes_of_the_avro_symbols(enum: type[IntEnum], name: str) -> None:
    symbols = enum_symbols(f"io.seatstream.types.{name}")
    assert [(member.name, member.value) for member in enum] == [
        (symbol, index) for index, symbol in enumerate(symbols)
    ]


def test_an_extension_is_a_full_hold_from_now_up_to_the_cap() -> None:
    assert extended_deadline_ms(1_500, 1_000, 600, 1_800) == 2_100
    assert extended_deadline_ms(2_500, 1_000, 600, 1_800) == 2_800
