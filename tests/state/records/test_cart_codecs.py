"""Codecs of carts write what their names promise, with the numbers of the domain."""

import pytest
from support.carts.carting import CODECS
from support.seats.section_commands import IDS

from schemas.topics import CART_COMMANDS, subject
from serdes.avro.schema_files import current
from serdes.wire import schema_id_of
from state.domain.carts.payment import Ask, Step
from state.domain.carts.statuses import CartEnd, CartStatus, OnFailure
from state.records.carts import CARTS


def test_a_tick_is_one() -> None:
    expected = IDS.id_by_subject[subject(CART_COMMANDS, CARTS + "CartTick")]
    assert schema_id_of(CODECS.tick(7)) == expected


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (CartStatus, "CartStatus"),
        (OnFailure, "OnFailure"),
        (Ask, "PartQuestion"),
        (CartEnd, "CartEnd"),
        (Step, "CartPaymentStep"),
    ],
)
def test_numbers_of_the_domain_are_those_of_the_schemas(kind: type, name: str) -> None:
    symbols = current().by_name["io.seatstream.types." + name]["symbols"]
    names = [getattr(one, "name", "") for one in kind]  # type: ignore[attr-defined]
    assert [one.replace("NOTHING", "UNSPECIFIED") for one in names] == symbols
