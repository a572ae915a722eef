"""A wish has one form of bytes, and whatever else lies there is told as what it is."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.domain.booking_queue.wishes import Carried, Wish, fault_of
from state.records.booking_queue.wishes import (
    WishUnreadable,
    decoded,
    decoded_outcome,
    encoded,
    encoded_outcome,
)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
indexes = st.integers(0, 2**31 - 1)
chosen = st.lists(st.tuples(indexes, indexes), min_size=1, max_size=4, unique=True)
wishes = st.builds(
    lambda seats, amount, metadata: Wish(
        "A-1", tuple(seats), len(seats) or 3, amount, "EUR", tuple(sorted(metadata.items()))
    ),
    chosen | st.just([]),
    st.integers(0, 2**63 - 1),
    st.dictionaries(words, words, max_size=3),
)


@given(wishes)
def test_a_wish_is_read_as_it_was_written(wish: Wish) -> None:
    text = encoded(wish)
    assert text is not None
    assert decoded(text) == wish
    assert fault_of(wish) == ""


def test_the_form_is_that_of_the_release() -> None:
    """Worked out by hand: two releases of pods compare the same request as the same."""
    wish = Wish("A-1", ((0, 1),), 1, 500, "EUR", (("a", "b"),))
    assert encoded(wish) == (
        b'{"amount":500,"currency":"EUR","metadata":{"a":"b"},"seat_count":1,"seats":[[0,1]],'
        b'"section":"A-1"}'
    )


def test_more_than_an_item_may_carry_is_no_wish() -> None:
    wish = Wish("A-1", (), 1, 0, "", tuple((f"{at}", "é" * 5_000) for at in range(2)))
    assert encoded(wish) is None


@given(st.binary(max_size=40) | st.lists(words | st.integers(0, 9)).map(orjson.dumps))
def test_no_bytes_are_taken_for_a_wish_that_are_none(text: bytes) -> None:
    with pytest.raises(WishUnreadable):
        decoded(text)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("section", "a"),
        ("seat_count", "two"),
        ("seat_count", None),
        ("seats", [[1]]),
        ("seats", {"a": 1}),
        ("metadata", []),
        ("amount", -5),
        ("other", 1),
    ],
)
def test_a_wish_with_a_field_that_no_wish_has_is_none(field: str, told: object) -> None:
    text = encoded(Wish("A-1", (), 1, 0, "", ()))
    assert text is not None
    with pytest.raises(WishUnreadable):
        decoded(orjson.dumps({**orjson.loads(text), field: told}))


@given(words, words)
def test_an_outcome_is_read_as_it_was_written(reservation: str, reason: str) -> None:
    carried = Carried(reservation, reason)
    assert decoded_outcome(encoded_outcome(carried)) == carried


def test_an_outcome_that_is_open_says_nothing_and_one_that_is_none_is_told() -> None:
    assert decoded_outcome(b"") == Carried("", "")
    for text in (b"held", b"[]"):
        with pytest.raises(WishUnreadable):
            decoded_outcome(text)
