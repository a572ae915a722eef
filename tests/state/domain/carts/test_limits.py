"""What one buyer may have of an event, counted over all of its carts."""

import pytest

from state.domain.carts.life import begin
from state.domain.carts.limits import UNLIMITED, Limits, exceeds, is_counted
from state.domain.carts.parties import Party
from state.domain.carts.statuses import OnFailure
from state.domain.carts.values import Cart, Part, Standing
from state.domain.layout import SeatRange
from state.domain.reservation import Status

S = Status


def cart(*parts: tuple[int, Status]) -> Cart:
    """Return a limited cart with these seats and how they stand."""
    wanted = tuple(
        Part(b"A", count, (), standing=Standing(status=status)) for count, status in parts
    )
    new = begin(b"ann", 7, b"c", OnFailure.KEEP, wanted, 0)
    return new._replace(parts=wanted, is_limited=True)


def wanted(*counts: int) -> Cart:
    return cart(*((count, S.UNSPECIFIED) for count in counts))


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
    assert exceeds(limits, [*HELD_AND_SOLD, wanted(*counts)]) == is_over


def test_d12_a_party_counts_its_seats_once_and_a_hold_of_each_section_until_it_sits() -> None:
    limits = Limits(max_seats=12, max_open_holds=2)
    asked = cart((12, S.REJECTED), (12, S.UNSPECIFIED))
    asked = asked._replace(parties=(Party((b"A", b"B"), (0, 1)),))
    assert not exceeds(limits, [asked])
    assert exceeds(limits._replace(max_seats=11), [asked])
    assert exceeds(limits._replace(max_open_holds=1), [asked])
    # It was asked for all, and then for as many as can be had.
    standing = Standing(status=S.HELD, seats=(SeatRange(0, 0, 7),))
    sits = cart((12, S.REJECTED), (12, S.REJECTED), (12, S.HELD), (5, S.HELD))
    parts = (*sits.parts[:2], sits.parts[2]._replace(standing=standing), sits.parts[3])
    sits = sits._replace(parts=parts, parties=(Party((b"A", b"B"), (0, 1, 2, 3)),))
    assert not exceeds(limits, [sits])
    assert exceeds(limits, [sits, wanted(1)])


def test_a_cart_of_which_all_is_gone_counts_no_more() -> None:
    assert is_counted(cart((1, S.SOLD)))
    assert not is_counted(cart((1, S.RELEASED), (2, S.REJECTED), (1, S.REFUNDED)))
    assert not is_counted(cart((1, S.HELD))._replace(is_limited=False))
