"""A life as a table: for each status, which status follows by what."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

S = TypeVar("S", bound=Enum)
T = TypeVar("T", bound=Enum)


class IllegalTransition(Exception):
    """A change of status that its table does not have: a fault in our rules, never in the input.

    Operator action: none helps. Nothing of the batch or request is stored; report the exception.
    """


def advance(table: Mapping[S, Mapping[T, S]], status: S, by: T) -> S:
    """Return the status that follows `status`; raises IllegalTransition where none does."""
    try:
        return table[status][by]
    except KeyError:
        raise IllegalTransition(f"{status.name} x {by.name}") from None
