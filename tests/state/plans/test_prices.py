"""A plan's prices: one for every seat in one currency, or a refusal that names the place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records.plan_documents import content, plan, row, seat, zone

from state.domain.price import SEAT_AMOUNT_MAX, UNPRICED, PriceList
from state.plans.reading import parse_plan
from state.plans.seating import PlanFault, SeatingPlan

PRICES = {"front": 4_500, "side": 0}


def short(**more: Any) -> dict[str, Any]:
    sections = [
        {"section": "A", "rows": 1, "seats": 4, "category": "front"},
        {"section": "B", "rows": 1, "seats": 4, "category": "side"},
    ]
    return {"event": "E", "sections": sections, "currency": "EUR", "prices": PRICES} | more


def pretix(**more: Any) -> dict[str, Any]:
    seats = [
        seat(f"g{at}", str(at), 10.0 * at, 0.0) | {"category": name}
        for at, name in enumerate(["side", "front", "front"])
    ]
    document = plan(zone("A", row("1", *seats)))
    categories = [{"name": name, "color": "#000"} for name in (*PRICES, "unused")]
    return document | {"categories": categories, "currency": "EUR", "prices": PRICES} | more


def read(document: dict[str, Any]) -> SeatingPlan:
    return parse_plan(content(document))


def fault_of(document: dict[str, Any] | bytes) -> PlanFault:
    body = document if isinstance(document, bytes) else content(document)
    with pytest.raises(PlanFault) as refused:
        parse_plan(body)
    return refused.value


@given(
    st.integers(0, SEAT_AMOUNT_MAX),
    st.integers(0, SEAT_AMOUNT_MAX),
    st.sampled_from(["EUR", "KWD"]),
)
def test_each_section_has_the_prices_of_its_own_categories(
    front: int, side: int, currency: str
) -> None:
    prices = {"side": side, "front": front}
    first, second = read(short(prices=prices, currency=currency)).sections
    assert first.prices == PriceList(currency, (("front", front),))
    assert second.prices == PriceList(currency, (("side", side),))
    (only,) = read(pretix(prices=prices, currency=currency)).sections
    # In order of first use.
    assert only.prices == PriceList(currency, (("side", side), ("front", front)))


def test_a_plan_without_prices_has_none() -> None:
    for document in (short(), pretix()):
        del document["currency"], document["prices"]
        unpriced = read(document)
        assert unpriced.prices == UNPRICED
        assert all(section.prices == UNPRICED for section in unpriced.sections)


def test_a_category_without_seats_may_have_a_price_and_needs_none() -> None:
    prices = read(pretix(prices=PRICES | {"unused": 1})).prices
    assert dict(prices.amounts) == PRICES | {"unused": 1}
    assert dict(read(pretix()).prices.amounts) == PRICES


@pytest.mark.parametrize("document", [short, pretix])
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"currency": "EURO"}, "currency"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"currency": 978}, "currency"),
        ({"currency": None}, "currency"),
        ({"prices": None}, "prices"),
        ({"prices": [4_500]}, "prices"),
        ({"prices": {}}, "prices"),
        ({"prices": {"front": 1}}, "prices"),
        ({"prices": PRICES | {"gold": 1}}, "prices['gold']"),
        ({"prices": PRICES | {"": 1}}, "prices['']"),
        ({"prices": PRICES | {"\x1b[31m": 1}}, "prices['\\x1b[31m']"),
        ({"prices": PRICES | {"front": -1}}, "prices['front']"),
        ({"prices": PRICES | {"front": SEAT_AMOUNT_MAX + 1}}, "prices['front']"),
        ({"prices": PRICES | {"front": 10**400}}, "prices['front']"),
        ({"prices": PRICES | {"front": 45.0}}, "prices['front']"),
        ({"prices": PRICES | {"front": 45.005}}, "prices['front']"),
        ({"prices": PRICES | {"front": "4500"}}, "prices['front']"),
        ({"prices": PRICES | {"front": "1,00"}}, "prices['front']"),
        ({"prices": PRICES | {"front": True}}, "prices['front']"),
        ({"prices": PRICES | {"front": None}}, "prices['front']"),
        ({"prices": PRICES | {"front": [1]}}, "prices['front']"),
    ],
)
def test_b58_what_is_no_price_list_is_refused_with_its_place(
    document: Any, change: dict[str, Any], path: str
) -> None:
    fault = fault_of(document(**change))
    assert fault.path == path
    assert fault.remedy


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"4.5e3"])
def test_b58_numbers_that_json_lets_through_are_no_prices(number: bytes) -> None:
    body = content(short(prices=PRICES | {"front": 987_654})).replace(b"987654", number)
    assert fault_of(body).path in {"", "prices['front']"}


@pytest.mark.parametrize("field", ["currency", "prices"])
def test_one_of_the_two_fields_is_missed(field: str) -> None:
    document = short()
    del document[field]
    assert f"field {field!r} is missing" in fault_of(document).fault


def test_seats_without_a_category_have_no_price() -> None:
    plain = {"section": "C", "rows": 1, "seats": 4}
    fault = fault_of(short(sections=[*short()["sections"], plain]))
    assert (fault.path, fault.fault) == (
        "sections[2]",
        "seats of C have no category, and so no price",
    )
