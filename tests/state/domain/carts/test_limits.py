"""What one buyer may have of an event, counted over all of its carts."""

import pytest

from state.domain.carts.cart import Cart, OnFailure, Part, Standing, begin
from state.domain.carts.limits import UNLIMITED, Limits, exceeds, is_counted
from state.domain.reservation import Status

S = Status


def cart(*parts: tuple[int, Status]) -> Cart:
    """Return a limited cart with these seats and how they stand."""
    wanted = tuple(
        Part(b"A", count, (), standing=Standing(status=status)) for count, status in parts
    )
    new = begin(b"ann", 7, b"c", OnFailure.KEEP, wanted, 0)
    return new._replace(parts=wanted, is_limited=True)


def wanted(*counts: int) -> tuple[Part, ...]:
    return tuple(Part(b"B", count, ()) for count in counts)


HELD_AND_SOLD = [cart((2, S.HELD), (3, S.RELEASED)), cart((1, S.SOLD), (1, S.UNSPECIFIED))]


@pytest.mark.parametrize(
    ("limits", "counts", "is_over"),
    [
        # Four seats: held, sold, and asked for; what was given back does not count.
        (Limits(max_seats=6), (2,), False),
        (Limits(max_seats=6), (1, 2), True),
        # Two holds that are open; what was sold is none.
        (Limits(max_open_holds=4), (1, 1), False),
        (Limits(max_open_holds=4), (1, 1, 1), True),
        (Limits(max_seats=6, max_open_holds=2), (1,), True),
        (UNLIMITED, (8, 8, 8), False),
    ],
)
def test_what_is_held_asked_for_or_sold_counts(
    limits: Limits, counts: tuple[int, ...], *, is_over: bool
) -> None:
    assert exceeds(limits, HELD_AND_SOLD, wanted(*counts)) == is_over


def test_a_cart_of_which_all_is_gone_counts_no_more() -> None:
    assert is_counted(cart((1, S.SOLD)))
    assert not is_counted(cart((1, S.RELEASED), (2, S.REJECTED), (1, S.REFUNDED)))
    assert not is_counted(cart((1, S.HELD))._replace(is_limited=False))
