"""What follows from the parts of a cart at any moment."""

import pytest

from state.domain.carts.parties import Party
from state.domain.carts.statuses import CartEnd, CartStatus, OnFailure
from state.domain.carts.values import Cart, Part, Standing
from state.domain.layout import SeatRange
from state.domain.reasons import Reason
from state.domain.reservation import Status


def part(status: Status, *, section: bytes = b"A", deadline_ms: int = 0) -> Part:
    standing = Standing(3, 0, status, 1, deadline_ms, seats=(SeatRange(0, 4, 2),))
    return Part(section, 2, (), standing=standing)


def cart(*parts: Part, parties: tuple[Party, ...] = (), correlation: bytes = b"c") -> Cart:
    return Cart(
        b"ann",
        7,
        correlation,
        OnFailure.RELEASE,
        CartStatus.HELD,
        CartEnd.UNSPECIFIED,
        True,
        1_000,
        1_000,
        9,
        b"",
        parts,
        parties=parties,
    )


@pytest.mark.parametrize(
    ("status", "seats", "over_ms", "has_failed"),
    [
        (Status.UNSPECIFIED, 0, 0, False),
        (Status.HELD, 2, 800, False),
        (Status.PAYING, 2, 800, False),
        (Status.SOLD, 2, 0, False),
        (Status.RELEASED, 0, 0, True),
        (Status.REJECTED, 0, 0, True),
        (Status.REFUNDED, 0, 0, True),
    ],
)
def test_a_part_has_seats_and_a_time_while_its_hold_stands(
    status: Status, seats: int, over_ms: int, *, has_failed: bool
) -> None:
    found = part(status, deadline_ms=800)
    assert (found.held_count, found.over_ms, found.has_failed) == (seats, over_ms, has_failed)


def test_a_part_whose_hold_killed_its_workers_may_be_held_one_day() -> None:
    doubtful = Part(b"A", 2, (), standing=Standing(reason=Reason.INTERNAL))
    assert (doubtful.is_doubtful, doubtful.has_failed, doubtful.is_open) == (True, True, True)


def test_a_cart_ends_with_the_first_of_its_holds() -> None:
    parts = (part(Status.HELD, deadline_ms=900), part(Status.HELD, deadline_ms=700))
    sold = part(Status.SOLD, deadline_ms=100)
    assert cart(*parts, sold).deadline_ms == 700
    assert cart(sold).deadline_ms == 0


def test_what_a_party_was_asked_for_later_is_nothing_that_the_buyer_wanted() -> None:
    party = Party((b"A", b"B"), (0, 1))
    told = cart(part(Status.REJECTED), part(Status.HELD, section=b"B"), parties=(party,))
    assert told.wanted == [(b"A", 2, (), True, (b"B",))]
    assert (told.passed_over, told.seats_of(party)) == (frozenset({0}), 2)
    assert (told.party_of(1), told.party_of(2)) == (party, None)


def test_only_parts_that_are_paid_for_count_as_sold_by_the_payment() -> None:
    bought = part(Status.SOLD)._replace(is_paid=True)
    assert cart(bought, part(Status.SOLD, section=b"B")).sold == ((b"A", 0, 4, 2),)
