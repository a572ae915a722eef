"""What moving a group means for each partition, decided before anything is moved."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

Place = tuple[str, int]  # topic, partition
Span = tuple[int, int]  # first offset that is there, and the one behind the last

FIRST, END = "first", "end"
NOWHERE = -1


class Impossible(Exception):
    """The group cannot be moved there; the message says where it can be."""


class At(NamedTuple):
    """Where a group stands; owner: the worker that committed it, whom the next owner fences."""

    offset: int
    owner: str = ""


class Move(NamedTuple):
    """One partition whose group is moved; was: `NOWHERE` where nothing is committed."""

    place: Place
    was: int
    to: int
    owner: str

    @property
    def gives_up(self) -> int:
        """Return how many offsets are passed over, undecided."""
        return max(0, self.to - self.was) if self.was != NOWHERE else self.to

    @property
    def again(self) -> int:
        """Return how many offsets are read once more."""
        return max(0, self.was - self.to)

    @property
    def name(self) -> str:
        return f"{self.place[0]}-{self.place[1]}"


def moves(
    committed: Mapping[Place, At], spans: Mapping[Place, Span], places: Iterable[Place], to: str
) -> list[Move]:
    """Return a move for each place that does not stand there yet; raises Impossible.

    to: an offset, `first` for the first record that is there, `end` for behind the last.
    """
    found = []
    for place in places:
        if place not in spans:
            raise Impossible(f"{place[0]} has no partition {place[1]}")
        first, end = spans[place]
        target = {FIRST: first, END: end}.get(to)
        if target is None:
            if not to.isascii() or not to.isdecimal():
                raise Impossible(f"{to!r} is no offset: a number, {FIRST} or {END}")
            target = int(to)
        if not first <= target <= end:
            raise Impossible(
                f"{place[0]}-{place[1]} has offsets {first} to {end}: {target} is none of them"
            )
        at = committed.get(place, At(NOWHERE))
        if at.offset != target:
            found.append(Move(place, at.offset, target, at.owner))
    return found


def as_text(moved: Iterable[Move]) -> Iterator[str]:
    """Yield what each move means, a line each."""
    for move in moved:
        was = "nothing committed" if move.was == NOWHERE else str(move.was)
        if move.gives_up:
            means = f"offsets {max(0, move.was)} to {move.to - 1} are given up, undecided"
        elif move.again:
            means = f"{move.again} offsets are read again: what was applied changes nothing"
        else:
            means = "from its first record on"
        yield f"{move.name}: {was} -> {move.to}: {means}"
