"""Bounds on commands under way: memory stays bounded, and one section cannot take it all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from api.web.problems import Problem
from state.domain.reasons import ApiReason

SECTION_SHARE: Final = 4
"""One section may take one part in so many of what the pod takes."""


class InFlight:
    """Commands that this pod was asked for and has not answered.

    most: of all sections together; refused: commands that found no room.
    """

    def __init__(self, most: int) -> None:
        self.refused = 0
        self._most = most
        self._most_of_section = max(1, most // SECTION_SHARE)
        self._count = 0
        self._by_section: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def room(self, section_key: bytes) -> Iterator[None]:
        """Count a command until the block ends; raises Problem (429) when there is no room."""
        of_section = self._by_section
        if self._count >= self._most:
            self.refused += 1
            raise Problem.of(
                ApiReason.OVERLOADED, "This pod has enough to do; ask again shortly, or another."
            )
        if of_section[section_key] >= self._most_of_section:
            self.refused += 1
            raise Problem.of(
                ApiReason.OVERLOADED, "Too many want this section at once; ask again shortly."
            )
        self._count += 1
        of_section[section_key] += 1
        try:
            yield
        finally:
            self._count -= 1
            of_section[section_key] -= 1
            if not of_section[section_key]:
                del of_section[section_key]
