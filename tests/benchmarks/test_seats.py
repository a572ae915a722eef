"""The benchmark of seats: what is chosen without a broker; never how fast anything is."""

import json
from pathlib import Path
from random import Random

import pytest

from benchmarks.pod_runs.arena import Arena
from benchmarks.seat_runs.neighbours import COUNTS, FREE_SHARE, FullHouse
from benchmarks.seats import SCENARIOS, main, parse

SMALL = Arena(1, rows=10, seats_per_row=20)


def test_a_full_house_changes_and_stays_as_full_as_it_was() -> None:
    house = FullHouse(SMALL, Random(1))
    free = int(SMALL.seats * FREE_SHARE)
    seen = set()
    for _ in range(100):
        house.change()
        assert house.section.free_count == free
        assert house.section.is_conserved()
        seen.add(tuple(house.section.rows))
    assert len(seen) > 50


def test_every_scenario_is_offered_and_no_other() -> None:
    assert parse([*SCENARIOS]).scenarios == [*SCENARIOS]
    with pytest.raises(SystemExit):
        parse(["nothing"])


def test_neighbours_are_looked_for_without_a_broker(tmp_path: Path) -> None:
    out = tmp_path / "seats.json"
    assert main(["neighbours", "--quick", "--out", str(out)]) == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    figures = document["scenarios"]["neighbours"]["figures"]
    for count in COUNTS:
        assert figures[f"empty_{count}_seats_us"]["least"] > 0
        assert 0 <= figures[f"full_{count}_seats_found_percent"]["median"] <= 100
    assert figures["full_1_seats_found_percent"]["median"] == 100
    assert figures["full_8_seats_in_pieces_us"]["least"] > 0
