"""The arena is sold as a whole, or exactly as many seats of it as asked for."""

import pytest

from scripts.sale.arena import ARENA, demo_plan, part_of
from state.plans.reading import read_plan
from state.plans.seating import SeatingPlan


@pytest.fixture(scope="module")
def arena() -> SeatingPlan:
    return read_plan(ARENA)


@pytest.mark.parametrize("seats", [1, 24, 999, 2000, 2001, 30_000, 60_001])
def test_the_demo_sells_exactly_as_many_seats_as_asked_for(arena: SeatingPlan, seats: int) -> None:
    plan = part_of(arena, seats)
    assert plan.seat_count == seats
    assert len({section.section for section in plan.sections}) == len(plan.sections)


def test_the_demo_sells_the_whole_arena_by_default() -> None:
    assert demo_plan(None).seat_count >= 50_000
