"""What seats cost: sums of runs are sums of seats, and price lists are whole or nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seats.seatmap import category_of

from state.domain.layout import ROW_SEATS_MAX, SEATS_PER_HOLD_MAX, Row, categories_of
from state.domain.money import AMOUNT_MAX
from state.domain.price import (
    SEAT_AMOUNT_MAX,
    UNPRICED,
    PriceList,
    SeatPrices,
    invalid_prices,
    row_sums,
    unpriced,
)

AMOUNTS = {"a": 4_500, "b": 0, "c": SEAT_AMOUNT_MAX}
names = st.sampled_from(sorted(AMOUNTS))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    seats = draw(st.integers(1, 30))
    mixed = draw(st.just(()) | st.lists(names, min_size=seats, max_size=seats).map(tuple))
    return Row("1", seats, category=draw(names), seat_categories=mixed)


def prices_of(drawn: list[Row]) -> SeatPrices:
    return SeatPrices(
        tuple(
            row_sums(AMOUNTS, row.seat_count, row.category, row.seat_categories) for row in drawn
        ),
        b"EUR",
    )


@given(st.lists(rows(), min_size=1, max_size=4), st.data())
def test_a_run_costs_what_its_seats_cost_one_by_one(drawn: list[Row], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(drawn) - 1))
    row = drawn[index]
    first = data.draw(st.integers(0, row.seat_count - 1))
    count = data.draw(st.integers(1, row.seat_count - first))
    slowly = sum(AMOUNTS[category_of(row, seat)] for seat in range(first, first + count))
    prices = prices_of(drawn)
    assert prices.of_run(index, first, count) == slowly
    assert prices.of_ranges([(index, first, count)]) == slowly


@given(st.lists(rows(), min_size=1, max_size=4), st.data())
def test_chosen_seats_cost_what_they_cost_one_by_one(
    drawn: list[Row], data: st.DataObject
) -> None:
    everywhere = [
        (index, seat) for index, row in enumerate(drawn) for seat in range(row.seat_count)
    ]
    seats = data.draw(st.lists(st.sampled_from(everywhere), min_size=1, unique=True))
    slowly = sum(AMOUNTS[category_of(drawn[row], seat)] for row, seat in seats)
    assert prices_of(drawn).of_ranges([(row, seat, 1) for row, seat in seats]) == slowly


def test_prices_by_hand() -> None:
    front, mixed = Row("1", 4, category="a"), Row("2", 3, seat_categories=("a", "b", "a"))
    prices = prices_of([front, mixed])
    assert prices.of_run(0, 1, 2) == 9_000
    assert prices.of_run(1, 0, 2) == 4_500
    # All of the mixed row, and one seat of the other.
    assert prices.of_ranges([(1, 0, 3), (0, 3, 1)]) == 13_500


@pytest.mark.parametrize("seats", [1, ROW_SEATS_MAX])
def test_seats_that_cost_nothing_and_seats_without_a_price_cost_nothing(seats: int) -> None:
    free = SeatPrices((row_sums(AMOUNTS, seats, "b"),), b"EUR")
    assert free.of_run(0, 0, seats) == unpriced([seats]).of_run(0, 0, seats) == 0
    assert (free.currency, unpriced([seats]).currency) == (b"EUR", b"")


def test_the_dearest_hold_can_be_charged() -> None:
    dearest = SeatPrices((row_sums(AMOUNTS, SEATS_PER_HOLD_MAX, "c"),), b"EUR")
    assert dearest.of_run(0, 0, SEATS_PER_HOLD_MAX) == 16 * SEAT_AMOUNT_MAX < AMOUNT_MAX


SOUND = PriceList("EUR", (("a", 4_500), ("b", 0)))


def test_a_list_with_a_price_for_every_category_is_sound_and_so_is_none() -> None:
    assert invalid_prices(SOUND, ("b", "a")) is None
    assert invalid_prices(UNPRICED, ("a", "")) is None


@pytest.mark.parametrize(
    ("currency", "amounts", "fault"),
    [
        ("", SOUND.amounts, "currency"),
        ("eur", SOUND.amounts, "currency"),
        ("XTS", SOUND.amounts, "currency"),
        ("EURO", SOUND.amounts, "currency"),
        ("EUR", (), "prices"),
        ("EUR", (("a", 1),), "prices"),
        ("EUR", (("a", 1), ("b", 2), ("c", 3)), "prices[2].category"),
        ("EUR", (("a", 1), ("a", 1), ("b", 2)), "prices[1].category"),
        ("EUR", (("a", 1), ("b", -1)), "prices[1].amount"),
        ("EUR", (("a", SEAT_AMOUNT_MAX + 1), ("b", 1)), "prices[0].amount"),
    ],
)
def test_b58_a_list_that_is_none_is_refused_by_its_path(
    currency: str, amounts: Any, fault: str
) -> None:
    found = invalid_prices(PriceList(currency, amounts), ("a", "b"))
    assert found is not None
    assert found.partition(": ")[0] == fault


def test_a_seat_without_a_category_cannot_have_a_price() -> None:
    assert invalid_prices(PriceList("EUR", (("a", 1),)), ("a", "")) == (
        "prices: none for some of the seats"
    )
    assert invalid_prices(PriceList("EUR", (("a", 1), ("", 2))), ("a", "")) == (
        "prices[1].category: no category of the section's seats"
    )


def test_a_section_is_opened_with_the_prices_of_its_own_categories_in_their_order() -> None:
    used = categories_of([Row("1", 2, seat_categories=("b", "a")), Row("2", 2, category="a")])
    whole = PriceList("EUR", (("a", 1), ("b", 2), ("c", 3)))
    assert whole.of(used) == PriceList("EUR", (("b", 2), ("a", 1)))
    assert UNPRICED.of(used) == UNPRICED
