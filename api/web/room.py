"""Room for so many at once: memory stays bounded, and no one of those who ask can take it all."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from api.web.problems import Problem
from state.domain.reasons import ApiReason

Key = TypeVar("Key", bound=Hashable)


class Room(Generic[Key]):
    """What is under way now, at most so much together and so much of one key.

    full, full_of_one: what whoever finds no room is told to do.
    refused:           how many found none.
    """

    def __init__(self, most: int, full: str, most_of_one: int, full_of_one: str) -> None:
        self.refused = 0
        self._most = most
        self._full = full
        self._most_of_one = most_of_one
        self._full_of_one = full_of_one
        self._count = 0
        self._by_key: Counter[Key] = Counter()

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def of(self, key: Key) -> Iterator[None]:
        """Count one until the block ends; raises Problem (429) where there is no room."""
        by_key = self._by_key
        if self._count >= self._most:
            self.refused += 1
            raise Problem.of(ApiReason.OVERLOADED, self._full)
        if by_key[key] >= self._most_of_one:
            self.refused += 1
            raise Problem.of(ApiReason.OVERLOADED, self._full_of_one)
        self._count += 1
        by_key[key] += 1
        try:
            yield
        finally:
            self._count -= 1
            by_key[key] -= 1
            if not by_key[key]:
                del by_key[key]
