"""The benchmark of locks: that it runs, and writes what it measured; never how fast."""

import json
from pathlib import Path

import pytest

from benchmarks.locks import QUICK, SCENARIOS, main, parse


def test_every_scenario_is_offered_and_no_other() -> None:
    assert parse(["script", "locked"]).scenarios == ["script", "locked"]
    with pytest.raises(SystemExit):
        parse(["nothing"])


@pytest.mark.redis
def test_a_quick_run_measures_every_scenario(tmp_path: Path) -> None:
    out = tmp_path / "locks.json"
    assert main(["--quick", "--out", str(out)]) == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    assert set(document["scenarios"]) == set(SCENARIOS)
    figures = document["scenarios"]["locked"]["figures"]
    for way in ("client", "line"):
        for seats in QUICK.seats:
            for at_once in QUICK.at_once:
                assert f"{way}_{seats}_seats_{at_once}_at_once_operations_per_s" in figures
    assert set(document["scenarios"]["script"]["figures"]) == {
        "acquire_us", "extend_us", "release_us",
    }  # fmt: skip
