"""I24: a card's number is told from other digits, wherever it stands in a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.process.card_numbers import has_card_number


def with_check_digit(digits: str) -> str:
    """Return digits with the one behind them that makes the weighted sum a multiple of 10."""
    weighted = sum(
        sum(divmod(int(digit) * (1 + (at % 2 == 0)), 10))
        for at, digit in enumerate(reversed(digits))
    )
    return digits + str(-weighted % 10)


@pytest.mark.parametrize(
    ("text", "has_one"),
    [
        ("4111111111111111", True),
        ("4222222222222", True),
        ("6011000990139424", True),
        ("2223003122003222", True),
        ("no 3782 822463 10005 please", True),
        ("5105-1051-0510-5100", True),
        ("tok_4111111111111111", True),
        # Another number stands before or behind it.
        ("20 4111 1111 1111 1111", True),
        ("4111 1111 1111 1111 12", True),
        ("4111-1111-1111-1112", False),
        # Part of a digest.
        ("4111111111111111c0ffee", False),
        ("c0ffee4111111111111111", False),
        # One digit more or less than there may be.
        ("14111111111111111", False),
        ("41111111111111110", False),
        ("411111111111", False),
        ("41111111111111111111", False),
        # A time in ms, a date, an amount.
        ("at 1700000000004 ms", False),
        ("20261127201839", False),
        ("4 500 EUR", False),
        ("", False),
    ],
)
def test_i24_a_card_number_has_a_schemes_beginning_its_length_and_its_check_digit(
    text: str, *, has_one: bool
) -> None:
    assert has_card_number(text) == has_one


NUMBERS = st.builds(
    lambda begin, rest: with_check_digit(begin + rest),
    st.sampled_from(["3", "4", "5", "6"]),
    st.text("0123456789", min_size=11, max_size=17),
)


@given(NUMBERS, st.text(), st.text(), st.sampled_from(["", " ", "-"]))
def test_i24_a_number_is_found_in_any_text_and_one_with_a_wrong_check_digit_is_not(
    number: str, before: str, behind: str, between: str
) -> None:
    grouped = between.join(number[at : at + 4] for at in range(0, len(number), 4))
    assert has_card_number(f"{before}|{grouped}|{behind}")
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not has_card_number(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "\uff14" + "\uff11" * 15,
        "\u0664" + "\u0661" * 15,
        "4111\u00a01111\u20131111\u20031111",
    ],
)
def test_i24_digits_of_any_script_and_blanks_of_any_width_are_a_card_s(text: str) -> None:
    assert has_card_number(f"(\u00e9 {text})")
    assert not has_card_number(text[:-1])


def test_i24_a_long_text_of_digits_is_looked_through_in_one_go() -> None:
    assert not has_card_number("\u0664 " * 100_000)
    assert not has_card_number("4 " * 500_000)
    assert not has_card_number("4" * 1_000_000)
