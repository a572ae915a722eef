from typing import Any

import pytest

from state.domain.money import AMOUNT_MAX, MINOR_DIGITS, check_amount, check_currency


@pytest.mark.parametrize(
    ("code", "digits"), [("EUR", 2), ("USD", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("MGA", 2)]
)
def test_a_currency_has_the_digits_of_its_minor_unit(code: str, digits: int) -> None:
    assert MINOR_DIGITS[code] == digits


def test_codes_are_three_capital_letters_each_once() -> None:
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in MINOR_DIGITS)
    # ISO 4217 has 16 active currencies without digits, 7 with three.
    assert sum(digits == 0 for digits in MINOR_DIGITS.values()) == 16
    assert sum(digits == 3 for digits in MINOR_DIGITS.values()) == 7


@pytest.mark.parametrize("amount", [1, 1250, AMOUNT_MAX])
def test_a_positive_int_is_an_amount(amount: int) -> None:
    assert check_amount(amount) == amount


@pytest.mark.parametrize(
    "amount", [True, 1.0, float("nan"), float("inf"), "1", "1,00", None, b"1"]
)
def test_b58_nothing_but_an_int_is_an_amount(amount: Any) -> None:
    with pytest.raises(TypeError, match="an amount is an int"):
        check_amount(amount)


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1, 10**400])
def test_b58_an_int_that_is_not_positive_or_too_large_is_no_amount(amount: int) -> None:
    with pytest.raises(ValueError, match="an amount is 1 to"):
        check_amount(amount)


@pytest.mark.parametrize("currency", ["eur", "EURO", "", "XXX", "XAU", "\u0415UR", "EUR "])
def test_an_unknown_code_is_no_currency(currency: str) -> None:
    with pytest.raises(ValueError, match="no currency code"):
        check_currency(currency)


@pytest.mark.parametrize("currency", [None, 978, b"EUR"])
def test_nothing_but_a_str_is_a_currency(currency: Any) -> None:
    with pytest.raises(TypeError, match="a currency is a str"):
        check_currency(currency)
