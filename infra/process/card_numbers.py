"""Whether a text has the number of a payment card, which belongs into no record or log line."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

DIGITS_MIN: Final = 13
DIGITS_MAX: Final = 19
# As digits stand on a card: in groups, with a blank or dash between two of them.
_GROUP_MIN: Final = 4
_CHARS_MAX: Final = DIGITS_MAX + DIGITS_MAX // _GROUP_MIN
# Digits beside other hexadecimal ones are part of a digest or of an id of a trace.
_BEGIN: Final = re.compile(r"(?<![0-9A-Fa-f])(?=(?:2[2-7]|[3-6][0-9])[0-9]{2}(?:[ -]?[0-9]){9})")
_GROUPS: Final = re.compile(r"[0-9]+(?:[ -][0-9]+)*(?![0-9A-Fa-f])")


class _Plain:
    """Of each character the digit, blank or dash of ASCII that a person reads it as."""

    @staticmethod
    @lru_cache(maxsize=4_096)
    def __getitem__(code: int) -> str | int:
        char = chr(code)
        digit = unicodedata.decimal(char, None)
        if digit is not None:
            return str(digit)
        if unicodedata.category(char) == "Pd":
            return "-"
        return " " if char.isspace() else code


_PLAIN: Final = _Plain()


def has_card_number(text: str) -> bool:
    """Say whether a text has the 13 to 19 digits of a card: its beginning, and its check digit.

    In whatever script they are written. A time in ms begins with 1, and a date with 19 or 20,
    which no scheme's number does.
    """
    if not text.isascii():
        text = text.translate(_PLAIN)
    return any(
        _begins_with_one(text[begin.start() : begin.start() + _CHARS_MAX + 1])
        for begin in _BEGIN.finditer(text)
    )


def _begins_with_one(text: str) -> bool:
    groups = _GROUPS.match(text)
    digits = ""
    # The number may end with each group: another one may stand behind it.
    for group in re.split("[ -]", groups[0]) if groups is not None else ():
        digits += group
        if DIGITS_MIN <= len(digits) <= DIGITS_MAX and _is_checked(digits):
            return True
        if len(group) < _GROUP_MIN:
            # The last one of a number, if any.
            return False
    return False


def _is_checked(digits: str) -> bool:
    """Say whether the last digit is that of Luhn's formula (ISO/IEC 7812-1, annex B)."""
    values = [int(digit) for digit in reversed(digits)]
    doubled = [sum(divmod(2 * value, 10)) for value in values[1::2]]
    return (sum(values[::2]) + sum(doubled)) % 10 == 0
