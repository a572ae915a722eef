"""The benchmark of waiting rooms: that it runs, and writes what it measured; never how fast."""

import json
from pathlib import Path

import pytest

from benchmarks.waiting_room import QUICK, SCENARIOS, main, parse, sizes_of


def test_every_scenario_is_offered_and_no_other() -> None:
    assert parse(["script", "entered"]).scenarios == ["script", "entered"]
    with pytest.raises(SystemExit):
        parse(["nothing"])


def test_a_crowd_is_as_large_as_is_asked_for_and_no_larger_than_a_machine_bears() -> None:
    assert sizes_of(parse(["crowd"])).crowd.clients == 100_000
    asked = sizes_of(parse(["crowd", "--clients", "500", "--per-minute", "60"])).crowd
    assert (asked.clients, asked.per_minute) == (500, 60)
    for clients in ("0", "200001"):
        with pytest.raises(SystemExit):
            parse(["crowd", "--clients", clients])


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
    crowd = document["scenarios"]["crowd"]["figures"]
    assert {crowd[name]["median"] for name in ("lost", "not_let_in", "refused")} == {0}
    assert set(document["scenarios"]["script"]["figures"]) == {
        "enter_us", "look_us", "promote_us", "reap_us", "restore_us",
    }  # fmt: skip
