"""What it costs to choose seats side by side: in an empty house, and where few are left.

No broker and no worker: the time is that of the choice alone. In a house that is nearly full each
choice comes behind a seat that was given back and one that was taken, both at random: so rows are
looked at anew, as they are while people buy and give back.
"""

from collections.abc import Callable
from random import Random
from time import perf_counter_ns

from benchmarks.measuring.figures import Run
from benchmarks.pod_runs.arena import RULES, Arena
from state.domain.allocation import best_available
from state.domain.carts.splitting import in_pieces
from state.domain.layout import Layout, Row
from state.domain.reasons import Reason
from state.domain.section import Section

COUNTS = (1, 2, 4, 8)
FREE_SHARE = 0.05
"""Of the seats of a house that is nearly full."""

Choice = Callable[[Section, int], object]


def empty_house(arena: Arena) -> Section:
    """Return one section of an arena with every seat free."""
    rows = [Row(f"R{number}", arena.seats_per_row) for number in range(arena.rows)]
    return Section.empty(Layout.of(rows), RULES)


class FullHouse:
    """A section in which few seats are free, at random places; never more, never fewer."""

    def __init__(self, arena: Arena, random: Random) -> None:
        self.section = empty_house(arena)
        self._random = random
        seats = [(row, seat) for row in range(arena.rows) for seat in range(arena.seats_per_row)]
        random.shuffle(seats)
        left = max(*COUNTS, int(len(seats) * FREE_SHARE))
        self._free, self._held = seats[:left], seats[left:]
        for row, seat in self._held:
            self.section.take(row, 1 << seat)

    def change(self) -> None:
        """Give one seat back and hold another instead, both at random."""
        back, away = (self._random.randrange(len(one)) for one in (self._held, self._free))
        self._held[back], self._free[away] = self._free[away], self._held[back]
        (given, freed), (row, seat) = self._free[away], self._held[back]
        self.section.give_back(given, 1 << freed)
        self.section.take(row, 1 << seat)


def measure_neighbours(arena: Arena, choices: int, pieces: int, seed: str) -> Run:
    """Return the time of a choice, us, by house and seats.

    choices: of each kind. pieces: of parties that are parted, which cost far more.
    """
    run: dict[str, float] = {}
    for count in COUNTS:
        section = empty_house(arena)
        took, _ = _timed(section, best_available, count, choices, lambda: None)
        run[f"empty_{count}_seats_us"] = took
        house = FullHouse(arena, Random(f"{seed}-{count}"))
        took, found = _timed(house.section, best_available, count, choices, house.change)
        run[f"full_{count}_seats_us"] = took
        run[f"full_{count}_seats_found_percent"] = found
        if count > 1:
            took, _ = _timed(house.section, in_pieces, count, pieces, house.change)
            run[f"full_{count}_seats_in_pieces_us"] = took
    return run


def _timed(
    section: Section, choice: Choice, count: int, times: int, between: Callable[[], None]
) -> tuple[float, float]:
    """Return the mean time of a choice, us, and which share found seats, percent.

    What was chosen is not taken. between: done before each, at nobody's expense.
    """
    spent_ns, found = 0, 0
    for _ in range(times):
        between()
        began_ns = perf_counter_ns()
        chosen = choice(section, count)
        spent_ns += perf_counter_ns() - began_ns
        found += not isinstance(chosen, Reason)
    return spent_ns / times / 1000, 100 * found / times
