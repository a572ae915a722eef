"""Whole numbers in paths, queries and tokens: one form for each, so that one id has one address.

`007`, `+7`, ` 7`, `7.0`, `7_0` and digits of other scripts are all numbers to some reader and none
to us: what two readers could take for different ids names none.
"""

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

INT64_MAX: Final = 2**63 - 1
PATTERN: Final = r"(?:0|[1-9][0-9]{0,18})"

_WHOLE: Final = re.compile(PATTERN)


def whole_in(text: str, largest: int = INT64_MAX) -> int | None:
    """Return the number from 0 to `largest` that a text is; None where it is none."""
    if _WHOLE.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number <= largest else None


def _parsed(value: Any) -> Any:
    # A default is no text.
    if not isinstance(value, str):
        return value
    number = whole_in(value)
    if number is None:
        raise PydanticCustomError("whole_number", "not a whole number in its usual form")
    return number


USUAL_FORM: Final = BeforeValidator(_parsed)
"""For a number of a path or a query: `Annotated[int, Field(ge=1), USUAL_FORM]`, bounds inside."""

Int64 = Annotated[int, Field(ge=0, le=INT64_MAX), USUAL_FORM]
Int32 = Annotated[int, Field(ge=0, le=2**31 - 1), USUAL_FORM]
DayMs = Annotated[int, Field(ge=0, le=86_400_000), USUAL_FORM]
