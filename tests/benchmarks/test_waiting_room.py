"""The benchmark of waiting rooms: that it runs, and writes what it measured; never how fast."""

import json
from pathlib import Path

import pytest

from benchmarks.waiting_room import QUICK, SCENARIOS, main, parse


def test_every_scenario_is_offered_and_no_other() -> None:
    assert parse(["script", "entered"]).scenarios == ["script", "entered"]
    with pytest.raises(SystemExit):
        parse(["nothing"])


@pytest.mark.redis
def test_a_quick_run_measures_every_scenario(tmp_path: Path) -> None:
    out = tmp_path / "rooms.json"
    assert main(["--quick", "--out", str(out)]) == 0
    document = json.loads(out.read_text(encoding="utf-8"))
    assert set(document["scenarios"]) == set(SCENARIOS)
    figures = document["scenarios"]["entered"]["figures"]
    for kind in ("enter", "look"):
        for at_once in QUICK.at_once:
            assert f"{kind}_{at_once}_at_once_per_s" in figures
    assert "bytes_each" in figures
    assert set(document["scenarios"]["script"]["figures"]) == {
        "enter_us", "look_us", "promote_us", "reap_us",
    }  # fmt: skip
