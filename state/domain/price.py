"""What seats cost: a price for each category of a section, and sums over seats.

All amounts are integers in the currency's minor unit (ISO 4217): 4500 is 45.00 EUR, or 4500 JPY.
A section has a price for each of its seats, or for none of them. Seats without a price have the
amount 0 and no currency, and cannot be paid for.
"""

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple, TypeVar

from state.domain.money import MINOR_DIGITS

# Highest price of one seat: the largest hold of such seats still costs an amount that can be
# charged.
SEAT_AMOUNT_MAX: Final = 999_999_999_999

Text = TypeVar("Text", str, bytes)


class PriceList(NamedTuple):
    """The prices that a section is opened with; empty where its seats have no price.

    currency: ISO 4217.
    amounts:  (category, price of one seat), each category once.
    """

    currency: str = ""
    amounts: tuple[tuple[str, int], ...] = ()

    def of(self, categories: Collection[str]) -> "PriceList":
        """Return the prices of these categories alone, in the order of `categories`."""
        if not self.amounts:
            return self
        amount_by_category = dict(self.amounts)
        return self._replace(
            amounts=tuple((name, amount_by_category[name]) for name in categories)
        )


UNPRICED: Final = PriceList()


def invalid_prices(prices: PriceList, categories: Collection[str]) -> str | None:
    """Return the field of OpenSection that is wrong first, and what is wrong; None for no fault.

    categories: those of the section's seats; the empty text where a seat has none.
    """
    if prices == UNPRICED:
        return None
    if prices.currency not in MINOR_DIGITS:
        return "currency: not a code of ISO 4217"
    # A set, since a record may list thousands of prices.
    of_seats = frozenset(categories)
    seen: set[str] = set()
    for at, (category, amount) in enumerate(prices.amounts):
        if not category or category not in of_seats:
            return f"prices[{at}].category: no category of the section's seats"
        if category in seen:
            return f"prices[{at}].category: listed twice"
        if not 0 <= amount <= SEAT_AMOUNT_MAX:
            return f"prices[{at}].amount: not 0 to {SEAT_AMOUNT_MAX}"
        seen.add(category)
    return None if seen >= of_seats else "prices: none for some of the seats"


@dataclass(frozen=True, slots=True)
class SeatPrices:
    """Prices in the form that holds need: sums over the seats of each row.

    sums:     sums[row][n] is what the first n seats of a row cost together. So the seats first ..
              first + count - 1 cost sums[row][first + count] - sums[row][first].
    currency: ISO 4217, in ASCII.
    """

    sums: tuple[Sequence[int], ...]
    currency: bytes

    def of_run(self, row: int, first: int, count: int) -> int:
        """Return what adjacent seats of a row cost together."""
        sums = self.sums[row]
        return sums[first + count] - sums[first]

    def of_ranges(self, ranges: Iterable[tuple[int, int, int]]) -> int:
        """Return what the seats of some ranges cost together."""
        return sum(self.of_run(row, first, count) for row, first, count in ranges)


def row_sums(
    amount_by_category: Mapping[Text, int],
    seat_count: int,
    category: Text,
    seat_categories: Sequence[Text] = (),
) -> Sequence[int]:
    """Return the sums of one row; raises KeyError for a category without a price."""
    if seat_categories:
        amounts = (amount_by_category[name] for name in seat_categories)
        # Eight bytes a seat, where a tuple takes forty.
        return array("q", accumulate(amounts, initial=0))
    return _even_sums(amount_by_category[category], seat_count)


# Each hold reads these sums, and a tuple is read in a third of an array's time. A hall has few
# lengths of rows and few prices, so its rows share the tuples.
@lru_cache(maxsize=1024)
def _even_sums(amount: int, seat_count: int) -> tuple[int, ...]:
    return tuple(amount * seats for seats in range(seat_count + 1))


def unpriced(seat_counts: Iterable[int]) -> SeatPrices:
    """Return the prices of a section whose seats have none.

    seat_counts: number of seats of each row.
    """
    return SeatPrices(tuple(_even_sums(0, seats) for seats in seat_counts), b"")
