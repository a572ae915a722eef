"""Amounts and currencies: an amount is an integer in its currency's minor unit, never a float."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

AMOUNT_MAX: Final = 2**53 - 1
"""The largest integer that every reader of JSON reads as it was written."""

# ISO 4217, what is legal tender today; funds, metals, units of account and test codes are not.
_BY_DIGITS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD "
        "CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
        "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL "
        "MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN "
        "PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
        "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}

MINOR_DIGITS: Final[Mapping[str, int]] = MappingProxyType(
    {code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()}
)
"""Digits behind the decimal point by currency code: 2 for EUR, so 1250 is 12.50 EUR."""


def check_amount(amount: object) -> int:
    """Return the amount; TypeError unless it is an int, ValueError unless 1 to AMOUNT_MAX."""
    # True is an int to Python.
    if type(amount) is not int:
        raise TypeError(f"an amount is an int in minor units, not {type(amount).__name__}")
    if not 1 <= amount <= AMOUNT_MAX:
        raise ValueError(f"an amount is 1 to {AMOUNT_MAX} minor units")
    return amount


def check_currency(currency: object) -> str:
    """Return the code; TypeError unless it is a str, ValueError unless ISO 4217 has it."""
    if type(currency) is not str:
        raise TypeError(f"a currency is a str, not {type(currency).__name__}")
    if currency not in MINOR_DIGITS:
        raise ValueError(f"{currency[:8]!r} is no currency code of ISO 4217 in use")
    return currency
