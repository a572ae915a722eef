"""How what an operator did is written down: in the headers of a record among the dead letters."""

from collections.abc import Mapping

ACTION = "operator-"
"""Begins the headers of such a record."""


def headers_of(told: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Return the headers that say this; text that is no UTF-8 is spelled out."""
    return [
        (ACTION + name, text.encode("utf-8", "backslashreplace")) for name, text in told.items()
    ]
