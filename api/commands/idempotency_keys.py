"""Idempotency keys as clients send them: plain, or as the quoted string of the IETF's draft."""

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

# RFC 8941, 3.3.3: printable ASCII, quotes and backslashes behind a backslash, no parameters.
_QUOTED: Final = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_ESCAPED: Final = re.compile(r'\\(["\\])')


def _unquoted(value: Any) -> Any:
    """Return the key that a header's value stands for.

    Both forms of one key are one: a gateway or a library that quotes some of a client's repeats
    must not make two reservations of one wish.
    """
    if not isinstance(value, str) or not value.startswith('"'):
        return value
    match = _QUOTED.fullmatch(value)
    if match is None:
        raise PydanticCustomError("quoted_string", "begins with a quote and is no quoted string")
    return _ESCAPED.sub(r"\1", match[1])


IdempotencyKey = Annotated[
    str, StringConstraints(pattern=r"^[\x20-\x7e]{1,255}$"), BeforeValidator(_unquoted)
]
