"""The arena is sold as a whole, or exactly as many seats of it as asked for."""

import json

import pytest

from scripts.sale import arena as module
from scripts.sale.arena import ARENA, arena_bytes, demo_plan, part_of
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


def test_the_demo_sells_the_whole_arena_by_default(
    arena: SeatingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It takes a while to read.
    monkeypatch.setattr(module, "read_plan", {ARENA: arena}.__getitem__)
    assert demo_plan(None) is arena
    assert arena.seat_count >= 50_000


def test_the_arena_is_what_its_figures_give_and_has_unequal_rows(arena: SeatingPlan) -> None:
    assert ARENA.read_bytes() == arena_bytes()
    assert arena.seat_count >= 50_000
    assert len(arena.sections) >= 72
    assert len({row.seat_count for section in arena.sections for row in section.rows}) >= 20
    # An aisle of the file is a gap in its positions, so no category says where one lies.
    assert all(row.aisles for section in arena.sections for row in section.rows)
    assert json.loads(ARENA.read_bytes())["name"] == arena.name
